"""Find out which parts of a Transformer help, at what cost, and how sure one can be.

Everything that scripts, notebooks, and plug-ins need is a name of this package, loaded when it is first used:
``import zoo`` alone loads neither torch nor Hydra. Other modules of the package may move without notice.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo import testing
    from zoo.checks import (
        Refused,
        require,
        require_between,
        require_divides,
        require_even,
        require_positive,
    )
    from zoo.data.batch import Batch, DocumentBatch, PairBatch
    from zoo.data.interfaces import Documents, Pairs, Split, Tokenizer, Vocabulary
    from zoo.data.special import COMMON, OURS, Required
    from zoo.model.attend import Scores, attend
    from zoo.model.cache import Cache
    from zoo.model.interfaces import (
        Attention,
        Component,
        FeedForward,
        Inputs,
        Norm,
        Objective,
        Position,
        Residual,
        Sublayer,
        View,
        linear_flops,
    )
    from zoo.model.mask import Mask, Tokens
    from zoo.model.parameter_roles import Role
    from zoo.model.projections import BatchedLinear, OutputLinear
    from zoo.registry import register

__version__ = "0.1.0"

__all__ = [
    "COMMON",
    "OURS",
    "Attention",
    "Batch",
    "BatchedLinear",
    "Cache",
    "Component",
    "DocumentBatch",
    "Documents",
    "FeedForward",
    "Inputs",
    "Mask",
    "Norm",
    "Objective",
    "OutputLinear",
    "PairBatch",
    "Pairs",
    "Position",
    "Refused",
    "Required",
    "Residual",
    "Role",
    "Scores",
    "Split",
    "Sublayer",
    "Tokenizer",
    "Tokens",
    "View",
    "Vocabulary",
    "attend",
    "linear_flops",
    "register",
    "require",
    "require_between",
    "require_divides",
    "require_even",
    "require_positive",
    "testing",
]

_NAMES = {
    "zoo.checks": "Refused require require_between require_divides require_even require_positive",
    "zoo.data.batch": "Batch DocumentBatch PairBatch",
    "zoo.data.interfaces": "Documents Pairs Split Tokenizer Vocabulary",
    "zoo.data.special": "COMMON OURS Required",
    "zoo.model.attend": "Scores attend",
    "zoo.model.cache": "Cache",
    "zoo.model.interfaces": (
        "Attention Component FeedForward Inputs Norm Objective Position Residual Sublayer View linear_flops"
    ),
    "zoo.model.mask": "Mask Tokens",
    "zoo.model.parameter_roles": "Role",
    "zoo.model.projections": "BatchedLinear OutputLinear",
    "zoo.registry": "register",
}
"""Public names by the module that defines them: what the imports above say to type checkers."""
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name == "testing":
        return importlib.import_module("zoo.testing")
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
