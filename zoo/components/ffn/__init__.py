"""Feed-forward components: what is done to each token alone."""
