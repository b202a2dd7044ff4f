"""Interfaces of component kinds, masks, caches, attention kernels, and the assembly of layers, stacks and models."""
