"""Checks of classes and functions that a config names by ``_target_``.

Optimizer, schedule, trainer, loggers and callbacks are named by a dotted path. A target is checked by its signature
and is not called before the run starts, so that checking a config runs no code except imports of permitted modules:
the command line may name any module, a study file only those in :func:`find_foreign_targets`.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import yaml

from zoo.checks import suggest
from zoo.config.call_arguments import find_argument_problems
from zoo.config.lightning_import import import_lightning
from zoo.limits import check_limit
from zoo.registry import get_index
from zoo.runs.config_sections import Target
from zoo.system.installation import find_package_folder

TARGETS = ("optimizer", "schedule", "trainer")
NAMED_TARGETS = ("logger", "callbacks")
CALLED = ("optimizer", "schedule")
"""Sections whose target can check its arguments before there is a model."""
PACKAGES = ("torch", "lightning", "zoo")
"""Packages that any file may name, as well as registered plug-ins."""

_EXPECTED: Mapping[str, str] = {
    "optimizer": "torch.optim.Optimizer",
    "trainer": "lightning.Trainer",
    "logger": "lightning.pytorch.loggers.Logger",
    "callbacks": "lightning.pytorch.callbacks.Callback",
}
_SCHEDULE = Callable[[int], float]
_BY_THE_COMMAND = {
    "optimizer": ("params",),
    "trainer": (
        "max_steps",
        "max_epochs",
        "precision",
        "logger",
        "callbacks",
        "gradient_clip_val",
        "accumulate_grad_batches",
        "val_check_interval",
        "check_val_every_n_epoch",
        "default_root_dir",
        "use_distributed_sampler",
        "enable_progress_bar",
    ),
}
_INSTANTIATION = ("_target_", "_partial_", "_args_", "_recursive_", "_convert_")
"""Keys of ``hydra.utils.instantiate``; a section may have only the first, and only at its top level."""
_HARMLESS = ("torch.optim.", "zoo.training.schedule.")
"""Prefixes of targets without side effects, which may be called while a config is checked."""


def import_target(target: Target) -> Any:
    """Imports the class or function of a target and binds its keyword arguments."""
    return partial(_import(target.path), **target.arguments)


def _import(target: str) -> Any:
    module, _, name = target.rpartition(".")
    if module.split(".")[0] == "lightning":
        import_lightning()
    return getattr(importlib.import_module(module), name)


def _get_arguments(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key != "_target_"}


# ------------------------------------------------------------------------------------------------- permitted modules


def find_targets(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yields config path and value of every ``_target_``, at any depth and in dotted keys."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            where = f"{path}.{key}" if path else str(key)
            if where.rpartition(".")[2] == "_target_":
                yield where, value
            yield from find_targets(value, where)
    elif isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from find_targets(item, f"{path}[{number}]")


def find_foreign_targets(config: Mapping[str, Any], allowed: Iterable[str]) -> list[str]:
    """Finds targets that a file may not name, because the file may come from an untrusted source.

    Imports no module, because an import runs code.

    Args:
        config: config composed from a file.
        allowed: modules or targets that the command line permits.
    Returns:
        a message for each target that is not permitted.
    """
    plugins = {entry.module.split(".")[0] for entry in get_index().entries.values() if entry.distribution}
    public, allowed = (*PACKAGES, *sorted(plugins)), tuple(allowed)
    problems = []
    for path, target in find_targets(config):
        name = str(target)
        private = any(step.startswith("_") for step in name.split("."))
        if not _is_within(name, allowed if private else (*public, *allowed)):
            module = name.rpartition(".")[0] or name
            rule = "a study file may name only public classes and functions of torch, lightning, zoo and plug-ins"
            problems.append(f"{path}: {rule}, unless --allow-target {module} is given: got {name}")
    return problems


def _is_within(name: str, modules: Iterable[str]) -> bool:
    return any(f"{name}.".startswith(f"{module}.") for module in modules)


# ------------------------------------------------------------------------------------------- signatures


def is_shipped(section: str, given: Mapping[str, Any]) -> bool:
    """True if a section is one of the presets of zoo, unchanged, and therefore has no problems."""
    return dict(given) in _read_presets(section)


@functools.cache
def _read_presets(section: str) -> tuple[dict[str, Any], ...]:
    files = sorted((find_package_folder("conf") / section).glob("*.yaml"))
    return tuple(yaml.safe_load(file.read_text(encoding="utf8")) for file in files)


def find_target_problems(path: str, given: Mapping[str, Any]) -> list[str]:
    """Finds problems of a target and its arguments by its signature, without a call.

    Args:
        path: ``optimizer``, ``schedule``, ``trainer``, or ``logger.NAME`` and ``callbacks.NAME``.
        given: ``_target_`` and arguments.
    """
    section, target = path.split(".")[0], given.get("_target_")
    if not isinstance(target, str) or "." not in target.strip("."):
        return [f"{path}._target_: must name a class or function: got {target!r}"]
    if nested := list(_find_nested_targets(given, path)):
        return [
            f"{where}: is not taken here: a section names one target, and its arguments are values" for where in nested
        ]
    try:
        found = _import(target)
    except Exception as error:  # a module may raise anything
        return [f"{path}._target_: {target} cannot be imported: {error}{suggest_install(path.split('.')[-1])}"]
    signature = _inspect_signature(found)
    if signature is None or not _is_expected(section, found, signature):
        return [f"{path}._target_: must be {_describe_expected(section)}: got {target}"]
    return _find_argument_problems(path, given, signature)


def _find_nested_targets(node: Any, path: str, depth: int = 0) -> Iterator[str]:
    """Yields config paths of keys that only ``hydra.utils.instantiate`` understands."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _INSTANTIATION and (depth or key != "_target_"):
                yield f"{path}.{key}"
            yield from _find_nested_targets(value, f"{path}.{key}", depth + 1)
    elif isinstance(node, list):
        for number, item in enumerate(node):
            yield from _find_nested_targets(item, f"{path}[{number}]", depth + 1)


def _inspect_signature(found: Any) -> inspect.Signature | None:
    """Inspects the signature of a class or function; evaluates its annotations if possible."""
    for evaluate in (True, False):
        try:
            return inspect.signature(found, eval_str=evaluate)
        except (TypeError, ValueError):  # not callable, or without a signature
            return None
        except Exception:  # an annotation with names that only type checkers import
            continue
    return None


def _is_expected(section: str, found: Any, signature: inspect.Signature) -> bool:
    """True if the target is a class of the type that the section expects, or a function annotated to return it."""
    if section == "schedule":
        call = _inspect_signature(found.__call__) if isinstance(found, type) else None
        if call is None:
            return bool(signature.return_annotation == _SCHEDULE)
        return [each.annotation for each in call.parameters.values()][1:] == [int] and call.return_annotation is float
    made = found if isinstance(found, type) else signature.return_annotation
    return isinstance(made, type) and issubclass(made, _import(_EXPECTED[section]))


def _describe_expected(section: str) -> str:
    if section == "schedule":
        return "a function annotated to return Callable[[int], float], or a class whose __call__ is annotated so"
    return f"a subclass of {_EXPECTED[section]}, or a function annotated to return one"


def _find_argument_problems(path: str, given: Mapping[str, Any], signature: inspect.Signature) -> list[str]:
    section, target, parameters = path.split(".")[0], given["_target_"], signature.parameters
    taken = [key for key in given if key in _BY_THE_COMMAND.get(section, ())]
    problems = [f"{path}.{key}: is set by the run itself, from steps, clip, precision and the like" for key in taken]
    problems += [
        line for key, value in _get_arguments(given).items() for line in check_limit(key, value, f"{path}.{key}")
    ]
    if not any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values()):
        wrong = [key for key in _get_arguments(given) if key not in parameters]
        problems += [f"{path}.{key}: {target} has no such argument: {suggest(key, parameters)}" for key in wrong]
    if not problems:
        try:
            bind = signature.bind_partial if section == "trainer" else signature.bind
            bind(*_make_stand_ins(section), **_get_arguments(given))
        except TypeError as error:
            problems.append(f"{path}: {target} refuses its arguments: {error}")
    return problems + find_argument_problems(path, _get_arguments(given), signature)


def suggest_install(name: str) -> str:
    """Suggests the extra that installs a missing logger, as the end of a message; empty if there is none."""
    extras = importlib.metadata.metadata("transformer-zoo").get_all("Provides-Extra") or []
    return f": pip install 'transformer-zoo[{name}]'" if name in extras else ""


# ------------------------------------------------------------------------------------------------------- calls


def find_value_problems(section: str, target: Target, *, training: bool = False) -> list[str]:
    """Calls the target of an optimizer or schedule to check the values of its arguments.

    Args:
        section: one of ``CALLED``.
        target: the target, without problems by :func:`find_target_problems`.
        training: whether the run is about to start; before, only targets without side effects are called.
    """
    found = _import(target.path)
    defined = f"{getattr(found, '__module__', '')}."
    if not training and not defined.startswith(_HARMLESS):
        return []
    try:
        (found if training else _simplify_optimizer(found))(*_make_stand_ins(section), **target.arguments)
    except Exception as error:
        why = str(error).removeprefix(f"{section}.")
        return [f"{section}: {target.path} refuses its arguments: {why}"]
    return []


def _simplify_optimizer(found: Any) -> Any:
    """Returns an optimizer class of the same arguments that keeps parameters as they are; anything else unchanged.

    Adding them to a real one imports torch's compiler, which takes a second.
    """
    if not (isinstance(found, type) and issubclass(found, _import(_EXPECTED["optimizer"]))):
        return found
    return type(found.__name__, (found,), {"add_param_group": lambda self, group: self.param_groups.append(group)})


def _make_stand_ins(section: str) -> tuple[Any, ...]:
    """Makes placeholders for the values that a run passes to a target besides its arguments."""
    if section != "optimizer":
        return ()
    import torch  # imported late, because listing targets must be fast

    return ([torch.nn.Parameter(torch.zeros(1, 1))],)
