"""zoo: find out which parts of a Transformer help, at what cost, and how sure one can be."""

__version__ = "0.1.0"
