"""Find out which components of a Transformer help, at what cost, and how certain the answer is.

Everything that scripts, notebooks, and plug-ins need is a name of this package, loaded when it is first used:
``import zoo`` alone loads neither torch nor Hydra. Other modules of the package may move without notice.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zoo import testing
    from zoo.api.build_model import build
    from zoo.api.export_folder import export
    from zoo.api.loaded_model import LoadedModel, generate, load
    from zoo.api.model_inspection import inspect
    from zoo.api.model_summary import ModelSummary, show
    from zoo.api.results_frame import results
    from zoo.api.study_result import Report, StudyResult, StudyRun, report, study
    from zoo.api.train_run import train
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
    from zoo.data.special_tokens import COMMON, OURS, Required
    from zoo.generation import Sampling
    from zoo.hub.export_model import ExportResult
    from zoo.inspect.inspection import Inspection
    from zoo.model.attend import Scores, attend
    from zoo.model.cache import Cache
    from zoo.model.initialization import Initialization
    from zoo.model.inputs import Inputs
    from zoo.model.interfaces import (
        Attention,
        Component,
        FeedForward,
        Norm,
        Position,
        Residual,
        Sublayer,
        count_linear_flops,
    )
    from zoo.model.mask import Mask, Tokens
    from zoo.model.objective import Objective, View
    from zoo.model.parameter_roles import Role
    from zoo.model.projections import BatchedLinear, OutputLinear
    from zoo.registry import register
    from zoo.runs.run_config import RunConfig
    from zoo.runs.run_result import RunResult

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
    "ExportResult",
    "FeedForward",
    "Initialization",
    "Inputs",
    "Inspection",
    "LoadedModel",
    "Mask",
    "ModelSummary",
    "Norm",
    "Objective",
    "OutputLinear",
    "PairBatch",
    "Pairs",
    "Position",
    "Refused",
    "Report",
    "Required",
    "Residual",
    "Role",
    "RunConfig",
    "RunResult",
    "Sampling",
    "Scores",
    "Split",
    "StudyResult",
    "StudyRun",
    "Sublayer",
    "Tokenizer",
    "Tokens",
    "View",
    "Vocabulary",
    "attend",
    "build",
    "count_linear_flops",
    "export",
    "generate",
    "inspect",
    "load",
    "register",
    "report",
    "require",
    "require_between",
    "require_divides",
    "require_even",
    "require_positive",
    "results",
    "show",
    "study",
    "testing",
    "train",
]

_NAMES = {
    "zoo.api.build_model": "build",
    "zoo.api.export_folder": "export",
    "zoo.api.model_inspection": "inspect",
    "zoo.api.loaded_model": "LoadedModel generate load",
    "zoo.api.model_summary": "ModelSummary show",
    "zoo.api.results_frame": "results",
    "zoo.api.study_result": "Report StudyResult StudyRun report study",
    "zoo.api.train_run": "train",
    "zoo.checks": "Refused require require_between require_divides require_even require_positive",
    "zoo.data.batch": "Batch DocumentBatch PairBatch",
    "zoo.data.interfaces": "Documents Pairs Split Tokenizer Vocabulary",
    "zoo.data.special_tokens": "COMMON OURS Required",
    "zoo.generation": "Sampling",
    "zoo.hub.export_model": "ExportResult",
    "zoo.inspect.inspection": "Inspection",
    "zoo.model.attend": "Scores attend",
    "zoo.model.cache": "Cache",
    "zoo.model.initialization": "Initialization",
    "zoo.model.inputs": "Inputs",
    "zoo.model.interfaces": "Attention Component FeedForward Norm Position Residual Sublayer count_linear_flops",
    "zoo.model.mask": "Mask Tokens",
    "zoo.model.objective": "Objective View",
    "zoo.model.parameter_roles": "Role",
    "zoo.model.projections": "BatchedLinear OutputLinear",
    "zoo.registry": "register",
    "zoo.runs.run_config": "RunConfig",
    "zoo.runs.run_result": "RunResult",
}
"""Public names by the module that defines them: what the imports above say to type checkers."""
_HOMES = {name: module for module, names in _NAMES.items() for name in names.split()}


_PACKAGES = ("inspect", "report", "study", "testing")
"""Public names that are packages, too; all but one are called like functions."""


class _Called(ModuleType):
    """A package that is called like the public function of its name."""

    def __call__(self, *arguments: object, **options: object) -> object:
        name = self.__name__.rpartition(".")[2]
        return getattr(importlib.import_module(_HOMES[name]), name)(*arguments, **options)


class _Zoo(ModuleType):
    """The package itself, which the import system tells of each package in it by setting an attribute."""

    def __setattr__(self, name: str, value: object) -> None:
        if name in _PACKAGES and name in _HOMES and isinstance(value, ModuleType):
            value.__class__ = _Called
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Zoo


def __getattr__(name: str) -> object:
    """Load a public name when it is first used."""
    if name in _PACKAGES:
        return importlib.import_module(f"zoo.{name}")
    if name not in _HOMES:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted([*__all__, "__version__"])
