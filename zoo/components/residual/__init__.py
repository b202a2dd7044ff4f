"""Residual components: how sublayers are wired together, and where norms stand."""
