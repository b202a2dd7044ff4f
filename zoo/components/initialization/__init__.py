"""Initializations: initial weights of a model, and the scales of learning rates and logits that go with them."""
