"""Feed-forward components: transform each token independently."""
