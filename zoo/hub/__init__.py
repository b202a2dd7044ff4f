"""Published checkpoints in and out: ``load`` reads a folder, ``save`` writes one that others can read."""

from zoo.hub.checkpoint_folder import describe, load, save
from zoo.hub.family import families

__all__ = ["describe", "families", "load", "save"]
