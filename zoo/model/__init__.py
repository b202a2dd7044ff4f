"""The model: interfaces of the kinds, masks, caches, kernels, and how layers and stacks are assembled."""
