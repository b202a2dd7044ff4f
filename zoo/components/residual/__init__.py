"""Residual components: connect sublayers to the residual stream and place the norms."""
