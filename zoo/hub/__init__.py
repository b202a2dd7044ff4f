"""Import and export of published checkpoints: ``load_network`` reads a folder, ``save`` writes one."""

from zoo.hub.family_index import get_families
from zoo.hub.load_checkpoint import describe, load_network
from zoo.hub.save_checkpoint import save

__all__ = ["describe", "get_families", "load_network", "save"]
