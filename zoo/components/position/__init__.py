"""Position components: how a model knows where tokens stand."""
