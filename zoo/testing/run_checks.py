"""Runs all checks of a component, for the command and for pytest."""

from __future__ import annotations

import difflib
import functools
import importlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from zoo.checks import Refused, suggest
from zoo.registry import KINDS, Entry, forget, get_index, register
from zoo.testing import (
    cache_checks,
    computation_checks,
    cost_checks,
    data_checks,
    declaration_checks,
    gradient_checks,
    mask_checks,
    objective_checks,
    parameter_checks,
    trace_checks,
    width_checks,
)
from zoo.testing.kit import FAILURES, Check, Outcome, list_checks, run_check
from zoo.testing.subject import Subject, list_subjects

MODULES = (
    declaration_checks,
    computation_checks,
    mask_checks,
    cache_checks,
    gradient_checks,
    parameter_checks,
    cost_checks,
    objective_checks,
    data_checks,
    trace_checks,
    width_checks,
)
"""Modules of the checks, which register them when they are imported."""


def find_component(component: str) -> Entry:
    """Finds the entry of ``kind/name``, or of ``package.module:Class``, whose module is imported.

    Raises:
        Refused: if there is no such component, or the class is not registered.
    """
    module, colon, cls = component.partition(":")
    if colon:
        return _find_entry(_import_class(module, cls))
    kind, slash, name = component.partition("/")
    if not slash:
        raise Refused(f"a component is KIND/NAME or package.module:Class: got {component!r}{_suggest_paths(component)}")
    if kind not in KINDS:
        raise Refused(f"unknown kind {kind!r}: {suggest(kind, KINDS)}")
    return get_index().get(kind, name)


def _suggest_paths(name: str) -> str:
    """Returns the end of a message on a name without a kind: the components of that name, or of the closest one."""
    paths: dict[str, list[str]] = {}
    for kind, known in get_index().entries:
        paths.setdefault(known, []).append(f"{kind}/{known}")
    if name in KINDS:
        return f", which is a kind: choices: {', '.join(f'{name}/{each}' for each in get_index().get_names(name))}"
    close = difflib.get_close_matches(name, paths, n=1)
    return f": did you mean {' or '.join(paths[close[0]])}?" if close else "; zoo list prints all components"


def _import_class(module: str, name: str) -> type:
    try:
        cls = getattr(importlib.import_module(module), name)
    except Refused:
        raise
    except Exception as error:  # a module may raise anything
        raise Refused(f"{module}:{name} cannot be imported: {type(error).__name__}: {error}") from error
    if not isinstance(cls, type):
        raise Refused(f"{module}:{name} must be a class: got {type(cls).__name__}")
    return cls


def _find_entry(cls: type) -> Entry:
    path = f"{cls.__module__}.{cls.__name__}"
    for entry in get_index().entries.values():
        if entry.path == path:
            return entry
    raise Refused(f"{path} must be registered: write @register(kind, name) above the class")


@contextmanager
def register_temporarily(kind: str, name: str, cls: type) -> Iterator[Entry]:
    """Registers a class inside the block, for tests of classes that must not stay registered."""
    register(kind, name)(cls)
    try:
        yield get_index().get(kind, name)
    finally:
        forget(kind, name)


def check_component(component: str | Entry, only: Iterable[str] = ()) -> Iterator[Outcome]:
    """Runs the checks of a component and yields their outcomes.

    Args:
        component: ``kind/name``, ``package.module:Class``, or an entry of the registry.
        only: names of the checks to run; empty: all.
    """
    entry = find_component(component) if isinstance(component, str) else component
    wanted = set(only)
    for subject in list_subjects(entry):
        for item in list_checks(subject):
            if not wanted or item.name in wanted:
                yield run_check(subject, item)


def parametrize_with_checks(components: Iterable[str]) -> Callable[[Callable[..., Any]], Any]:
    """Parametrizes a pytest function with the argument ``check`` by all checks of all components.

    Args:
        components: ``kind/name`` or ``package.module:Class``, as for ``zoo check``.
    """
    import pytest

    cases = [
        (s, item)
        for component in components
        for s in list_subjects(find_component(component))
        for item in list_checks(s)
    ]
    return pytest.mark.parametrize(
        "check",
        [functools.partial(_run_in_pytest, subject, item) for subject, item in cases],
        ids=[f"{subject.label}-{item.name}" for subject, item in cases],
    )


def _run_in_pytest(subject: Subject, item: Check) -> None:
    import pytest

    outcome = run_check(subject, item)
    if outcome.status == "expected failure":
        pytest.xfail(outcome.seen)
    if outcome.status == "not run":
        pytest.skip(outcome.seen)
    if outcome.status in FAILURES:
        pytest.fail(outcome.line, pytrace=False)
