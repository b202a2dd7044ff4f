"""Classes and functions that a config names by ``_target_``: what each section expects, and who may name which.

Optimizer, schedule, trainer, loggers and callbacks are named by a dotted path. A target is checked by its signature
and is not called before the run begins, so that looking at a config runs no code but that of modules which it may
name: the command line may name any, a study file only what is installed beside zoo (:func:`foreign_target_problems`).
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from zoo.checks import suggest
from zoo.config.call_arguments import argument_problems
from zoo.limits import check_limit
from zoo.registry import index

TARGETS = ("optimizer", "schedule", "trainer")
NAMED_TARGETS = ("logger", "callbacks")
CALLED = ("optimizer", "schedule")
"""Whose arguments their target can judge by itself, before there is a model."""
PACKAGES = ("torch", "lightning", "zoo")
"""Whose classes and functions any file may name, as it may those of registered plug-ins."""

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
"""Keys of ``hydra.utils.instantiate``, of which a section has the first alone, and none is nested."""
_HARMLESS = ("torch.optim.", "zoo.training.schedule.")
"""What can be called while a config is checked: it computes from its arguments and does nothing else."""


def bind_target(section: Mapping[str, Any]) -> Any:
    """The class or function that a section names, with the section's other values as arguments."""
    return partial(_import(str(section["_target_"])), **_arguments(section))


def _import(target: str) -> Any:
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _arguments(section: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in section.items() if key != "_target_"}


# ------------------------------------------------------------------------------------------------- who may name which


def find_targets(node: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Config path and value of every ``_target_``, however deep it lies or dotted its key is."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            where = f"{path}.{key}" if path else str(key)
            if where.rpartition(".")[2] == "_target_":
                yield where, value
            yield from find_targets(value, where)
    elif isinstance(node, list | tuple):
        for number, item in enumerate(node):
            yield from find_targets(item, f"{path}[{number}]")


def foreign_target_problems(config: Mapping[str, Any], allowed: Iterable[str]) -> list[str]:
    """Targets of a composed config that a file may not name: a stranger may have written it.

    Modules are not imported here, for that runs their code.

    Args:
        config: composed from a file.
        allowed: modules, or targets themselves, that the command line names.
    """
    plugins = {entry.module.split(".")[0] for entry in index().entries.values() if entry.distribution}
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


# ------------------------------------------------------------------------------------------- what a section expects


def target_problems(path: str, given: Mapping[str, Any]) -> list[str]:
    """What is wrong with the target of a section and its arguments, as far as signatures tell.

    Args:
        path: ``optimizer``, ``schedule``, ``trainer``, or ``logger.NAME`` and ``callbacks.NAME``.
        given: ``_target_`` and arguments.
    """
    section, target = path.split(".")[0], given.get("_target_")
    if not isinstance(target, str) or "." not in target.strip("."):
        return [f"{path}._target_: must name a class or function: got {target!r}"]
    if nested := list(_instantiations(given, path)):
        return [
            f"{where}: is not taken here: a section names one target, and its arguments are values" for where in nested
        ]
    try:
        found = _import(target)
    except Exception as error:  # a module may raise anything
        return [f"{path}._target_: {target} cannot be imported: {error}{install(path.split('.')[-1])}"]
    signature = _signature(found)
    if signature is None or not _is_expected(section, found, signature):
        return [f"{path}._target_: must be {_expectation(section)}: got {target}"]
    return _argument_problems(path, given, signature)


def _instantiations(node: Any, path: str, depth: int = 0) -> Iterator[str]:
    """Config paths of keys that only ``hydra.utils.instantiate`` would understand."""
    if isinstance(node, Mapping):
        for key, value in node.items():
            if key in _INSTANTIATION and (depth or key != "_target_"):
                yield f"{path}.{key}"
            yield from _instantiations(value, f"{path}.{key}", depth + 1)
    elif isinstance(node, list):
        for number, item in enumerate(node):
            yield from _instantiations(item, f"{path}[{number}]", depth + 1)


def _signature(found: Any) -> inspect.Signature | None:
    """The signature of a class or function, with annotations as objects where they can be evaluated."""
    for evaluate in (True, False):
        try:
            return inspect.signature(found, eval_str=evaluate)
        except (TypeError, ValueError):  # no callable, or one that does not tell its signature
            return None
        except Exception:  # an annotation of names that only type checkers import
            continue
    return None


def _is_expected(section: str, found: Any, signature: inspect.Signature) -> bool:
    """True if the target is a class of what the section expects, or a function that is annotated to return it."""
    if section == "schedule":
        call = _signature(found.__call__) if isinstance(found, type) else None
        if call is None:
            return bool(signature.return_annotation == _SCHEDULE)
        return [each.annotation for each in call.parameters.values()][1:] == [int] and call.return_annotation is float
    made = found if isinstance(found, type) else signature.return_annotation
    return isinstance(made, type) and issubclass(made, _import(_EXPECTED[section]))


def _expectation(section: str) -> str:
    if section == "schedule":
        return "a function annotated to return Callable[[int], float], or a class whose __call__ is annotated so"
    return f"a subclass of {_EXPECTED[section]}, or a function annotated to return one"


def _argument_problems(path: str, given: Mapping[str, Any], signature: inspect.Signature) -> list[str]:
    section, target, parameters = path.split(".")[0], given["_target_"], signature.parameters
    taken = [key for key in given if key in _BY_THE_COMMAND.get(section, ())]
    problems = [f"{path}.{key}: is set by the run itself, from steps, clip, precision and the like" for key in taken]
    problems += [line for key, value in _arguments(given).items() for line in check_limit(key, value, f"{path}.{key}")]
    if not any(item.kind is inspect.Parameter.VAR_KEYWORD for item in parameters.values()):
        wrong = [key for key in _arguments(given) if key not in parameters]
        problems += [f"{path}.{key}: {target} has no such argument: {suggest(key, parameters)}" for key in wrong]
    if not problems:
        try:
            bind = signature.bind_partial if section == "trainer" else signature.bind
            bind(*_stand_ins(section), **_arguments(given))
        except TypeError as error:
            problems.append(f"{path}: {target} refuses its arguments: {error}")
    return problems + argument_problems(path, _arguments(given), signature)


def install(name: str) -> str:
    """How to install what a logger needs, if it is an extra of ours, as the tail of a message."""
    extras = importlib.metadata.metadata("transformer-zoo").get_all("Provides-Extra") or []
    return f": pip install 'transformer-zoo[{name}]'" if name in extras else ""


# ------------------------------------------------------------------------------------------------------- what it says


def value_problems(section: str, given: Mapping[str, Any], *, training: bool = False) -> list[str]:
    """What the target of an optimizer or schedule says of its arguments when it is called.

    Args:
        section: one of ``CALLED``.
        given: ``_target_`` and arguments, of which :func:`target_problems` has none.
        training: whether the run is about to begin. Until then only what computes and does nothing else is called.
    """
    found = _import(given["_target_"])
    defined = f"{getattr(found, '__module__', '')}."
    if not training and not defined.startswith(_HARMLESS):
        return []
    try:
        found(*_stand_ins(section), **_arguments(given))
    except Exception as error:
        why = str(error).removeprefix(f"{section}.")
        return [f"{section}: {given['_target_']} refuses its arguments: {why}"]
    return []


def _stand_ins(section: str) -> tuple[Any, ...]:
    """Values in place of what the run gives a target besides its arguments."""
    if section != "optimizer":
        return ()
    import torch  # late, for what only looks for targets is quick

    return ([torch.nn.Parameter(torch.zeros(1, 1))],)
