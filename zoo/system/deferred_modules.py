"""Placeholders for modules that other packages import in case somebody calls a function that nobody calls here."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class DeferredName:
    """A name of a module that is imported when an attribute of it is used, or it is called.

    Args:
        module: name of the module.
        name: name in the module.
    """

    def __init__(self, module: str, name: str) -> None:
        self._module, self._name = module, name

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._load(), attribute)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Calls the name of the module."""
        return self._load()(*arguments, **options)

    def _load(self) -> Any:
        return getattr(importlib.import_module(self._module), self._name)


class _Placeholder(ModuleType):
    """A module with a few deferred names; any other name imports the module in whose place it stands."""

    def __init__(self, name: str, deferred: Sequence[str]) -> None:
        super().__init__(name)
        vars(self).update({each: DeferredName(name, each) for each in deferred}, __path__=_DeferredPath(self))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in ("__version__", "__all__"):
            raise AttributeError(name)  # the import system asks every module for such names
        return getattr(self.load(), name)

    def load(self) -> ModuleType:
        """Imports the module."""
        self.remove()
        return importlib.import_module(self.__name__)

    def remove(self) -> None:
        """Removes the placeholder, unless the module is there already."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]


class _DeferredPath:
    """The folders of a package, which the import system goes through to find a module in it."""

    def __init__(self, package: _Placeholder) -> None:
        self._package = package

    def __iter__(self) -> Iterator[str]:
        return iter(self._package.load().__path__)


@contextmanager
def defer_modules(deferred: Mapping[str, Sequence[str]]) -> Iterator[None]:
    """Puts placeholders in the place of modules inside the block, unless they are imported already or not installed.

    Args:
        deferred: by name of a module, the names that others import from it without using them.
    """
    absent = [name for name in deferred if name not in sys.modules and importlib.util.find_spec(name) is not None]
    placeholders = [_Placeholder(name, deferred[name]) for name in absent]
    sys.modules.update({module.__name__: module for module in placeholders})
    try:
        yield
    finally:
        for module in placeholders:
            module.remove()
