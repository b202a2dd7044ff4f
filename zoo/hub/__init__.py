"""Published checkpoints in and out: ``load`` reads a folder, ``save`` writes one that others can read."""

from zoo.hub.family import families
from zoo.hub.folder import describe, load, save

__all__ = ["describe", "families", "load", "save"]
