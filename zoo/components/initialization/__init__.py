"""Initializations: the first weights of a model, and what follows from them for learning rates and logits."""
