from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.command import ON_CPU, SMALL, checked
from zoo.config.checking import CheckedConfig
from zoo.runs.run_result import RunResult
from zoo.training.run import train


@pytest.fixture(scope="session")
def text_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("text") / "text.txt"
    lines = [f"{i} bottles of beer on the wall, {i} bottles; take {i % 7} down." for i in range(90)]
    file.write_text("\n\n".join(lines))
    return file


@pytest.fixture
def documents(text_file: Path, tmp_path: Path) -> Callable[..., CheckedConfig]:
    """A checked training on paragraphs of a small text, whose runs lie in ``tmp_path``."""

    def make(*overrides: str, runs: str = "runs") -> CheckedConfig:
        data = ["data=text", f"data.path={text_file}", "data.unit=paragraph", "data/tokenizer=bytes", "data.length=32"]
        where = f"runs={tmp_path / runs}"
        return checked("model=gpt/tiny", "model.position.length=32", *SMALL, *data, *ON_CPU, where, *overrides)

    return make


@pytest.fixture
def pairs(tmp_path: Path) -> Callable[..., CheckedConfig]:
    """A checked training on numbers, whose runs lie in ``tmp_path``."""

    def make(*overrides: str, runs: str = "runs") -> CheckedConfig:
        data = ["data=numbers", "data.limit=200", "data.length=64"]
        where = f"runs={tmp_path / runs}"
        return checked("model=gpt/tiny", "model.position.length=64", *SMALL, *data, *ON_CPU, where, *overrides)

    return make


@pytest.fixture(scope="session")
def trained() -> Callable[[CheckedConfig], tuple[Path, RunResult]]:
    """Train, and say where."""

    def run(config: CheckedConfig) -> tuple[Path, RunResult]:
        from zoo.training.run import run_folder

        result = train(config)
        path = run_folder(config).path
        assert result is not None
        assert result == RunResult.read(path)
        return path, result

    return run
