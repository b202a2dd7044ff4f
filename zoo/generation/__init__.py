"""Generation: what a trained model writes."""
