"""Commands on the folder of a run whose files are not what they should be: a line that names the file."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import yaml

from tests.command import TINY, zoo

ANYWHERE = (b"", b"[]", b"\xff", b"3", None)
DAMAGES: tuple[tuple[str, bytes | None], ...] = (
    *((name, content) for name in ("config.yaml", "result.json", "started.json") for content in ANYWHERE),
    ("config.yaml", b"{}"),
    ("config.yaml", b"model: 3\ndata: []\nobjective: {name: 4}"),
    ("config.yaml", b"model: {dim: many}\ndata: {name: none, tokenizer: {}}\nobjective: {}"),
    ("config.yaml", b"a: [1, {"),
    ("result.json", b"{}"),
    ("result.json", b'{"metrics": []}'),
    ("result.json", b'{"metrics": {}, "files": {"model.safetensors": 3}}'),
    ("result.json", b'{"metrics": {}, "files": []}'),
    ("started.json", b'{"fingerprints": 1}'),
)


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("sound")
    assert zoo("train", *TINY, f"runs={where}", "steps=1").code == 0
    return next(where.glob("*/result.json")).parent


@pytest.mark.parametrize(("name", "content"), DAMAGES)
@pytest.mark.parametrize("command", ["generate", "export", "report"])
def test_what_a_file_of_a_run_cannot_hold_is_a_line(
    command: str, name: str, content: bytes | None, sound: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(sound, tmp_path / "run")
    path = run / name
    path.unlink()
    path.mkdir() if content is None else path.write_bytes(content)
    further = {"generate": ["three"], "export": [str(tmp_path / "out")], "report": ["--out", str(tmp_path / "out")]}
    code, out, err = zoo(command, str(run), *further[command])
    if command == "report" and content is not None and b"model: " in content:  # a report builds no model
        return
    assert code in (1, 2), out
    assert all(line.startswith(f"zoo: {path}") for line in err.splitlines()), err
    assert err.count("\n") <= 4
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("section", "key", "value", "problem"),
    [
        ("data", "length", "many", "data.length must be an integer: got 'many'"),
        ("data", "tokenizer", 3, "data.tokenizer must be a mapping: got '3'"),
        ("model", "path", "llama", "model.sha256 must be given with model.path: got path='llama'"),
    ],
)
def test_a_value_that_a_model_is_loaded_by_is_named(
    section: str, key: str, value: object, problem: str, sound: Path, tmp_path: Path
) -> None:
    run = shutil.copytree(sound, tmp_path / "run")
    config = yaml.safe_load((run / "config.yaml").read_text())
    config[section][key] = value
    (run / "config.yaml").write_text(yaml.safe_dump(config))
    code, _, err = zoo("export", str(run), str(tmp_path / "out"))
    assert (code, err) == (2, f"zoo: {run / 'config.yaml'}: {problem}\n")


def test_half_of_a_character_in_a_result_does_not_end_a_report(sound: Path, tmp_path: Path) -> None:
    run = shutil.copytree(sound, tmp_path / "run")
    result = json.loads((run / "result.json").read_text())
    result["samples"] = [{"source": "a\ud800", "target": "b", "prediction": "\udfff"}]
    result["versions"]["zoo"] = "\ud800"
    result["metrics"]["own\ud800_error"] = 1.0
    result["by_length"] = {"own\ud800_error": {"8": 0.5, "16": 0.25}}
    (run / "result.json").write_text(json.dumps(result))
    code, out, err = zoo("report", str(run), "--out", str(tmp_path / "out"))
    assert (code, err) == (0, ""), out
    assert "a\ufffd" in (tmp_path / "out" / "report.html").read_text(encoding="utf8")


def test_a_second_folder_is_no_prompt(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    done = zoo("generate", str(tmp_path / "one"), str(tmp_path / "two"), "407")
    assert done.code == 2
    told = (
        f"zoo: {tmp_path / 'two'} is the folder of a run or checkpoint: zoo generate takes one folder, and then prompts"
    )
    assert done.err.splitlines() == [told]
