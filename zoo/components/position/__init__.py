"""Position components: how a model knows where each token is in the sequence."""
