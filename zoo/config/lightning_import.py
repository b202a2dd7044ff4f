"""The import of Lightning, without packages of metrics that no training of zoo uses."""

from __future__ import annotations

import importlib

from zoo.system.deferred_modules import defer_modules

_DEFERRED = {"scipy.signal": ("hamming",), "transformers": ("AutoModel", "AutoTokenizer")}
"""What torchmetrics imports for metrics of sound and of text, a third of the time until the first step of a training.

It looks for a function that scipy once had, and binds two classes for BERTScore, which are loaded when it is called.
"""


def import_lightning() -> None:
    """Imports Lightning, which takes seconds; call it before the first import of a module that needs it."""
    with defer_modules(_DEFERRED):
        importlib.import_module("lightning")
