"""Shared by all tests: one thread, a cache of their own, and small lively models."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import Callable
from typing import Any

import pytest
import torch

from zoo.data.interfaces import Vocabulary
from zoo.model.build import build
from zoo.model.variants.variant import Variant
from zoo.testing.objective_checks import VOCABULARY
from zoo.testing.subject import SMALL, TOKENS, perturb

if "ZOO_CACHE" not in os.environ:
    os.environ["ZOO_CACHE"] = tempfile.mkdtemp(prefix="zoo-tests-")
    atexit.register(shutil.rmtree, os.environ["ZOO_CACHE"], ignore_errors=True)
torch.set_num_threads(1)


def tiny_config(variant: str = "decoder", **over: Any) -> dict[str, Any]:
    return {"variant": variant, **SMALL, **over}


@pytest.fixture(scope="session")
def tiny() -> Callable[..., dict[str, Any]]:
    """A small config; slots and numbers by keyword."""
    return tiny_config


@pytest.fixture(scope="session")
def lively() -> Callable[..., None]:
    return perturb


@pytest.fixture(scope="session")
def built() -> Callable[..., Variant]:
    """A small model in eval whose parameters are all random; one for each config, not to be changed."""
    known: dict[str, Variant] = {}

    def make(variant: str = "decoder", **over: Any) -> Variant:
        key = repr((variant, sorted(over.items())))
        if key not in known:
            model = build(tiny_config(variant, **over), TOKENS, seed=0).eval()
            perturb(model)
            known[key] = model
        known[key].zero_grad()
        return known[key]

    return make


@pytest.fixture(scope="session")
def vocabulary() -> Vocabulary:
    """Eight sentinels, and the texts' tokens from 14 on."""
    return VOCABULARY


@pytest.fixture(scope="session")
def few_lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Documents of a line each, as overrides."""
    file = tmp_path_factory.mktemp("data") / "text.txt"
    file.write_text("\n\n".join(f"Work number {i} and no play." for i in range(60)))
    return ["data=text", f"data.path={file}", "data.unit=paragraph", "data/tokenizer=bytes", "data.length=32"]


@pytest.fixture
def stops(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Every run gets this callback, though its config does not say so."""
    from tests.interruption import Stops
    from zoo.training import run as run_module

    made = run_module._build_parts

    def with_stop(*given: Any) -> Any:
        *others, callbacks = made(*given)
        return *others, [*callbacks, Stops()]

    monkeypatch.setattr(run_module, "_build_parts", with_stop)
    monkeypatch.setattr(Stops, "what", None)
    return Stops
