"""``zoo inspect`` on a trained run: the page, its data, and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.command import TINY, zoo


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three steps."""
    runs = tmp_path_factory.mktemp("inspect") / "runs"
    code, _, err = zoo("train", *TINY, f"runs={runs}")
    assert code == 0, err
    return next(runs.iterdir())


def test_the_page_is_written_where_it_is_asked_for(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    code, out, err = zoo("inspect", str(trained), "407", "--language", "zh")
    assert code == 0, err
    page = tmp_path / "inspect.html"
    assert out.startswith(f"{page}: 0.")
    text = page.read_text(encoding="utf8")
    assert '<html lang="zh">' in text
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "")
    assert zoo("inspect", str(trained), "407", "--out", "other.html").code == 0
    assert sorted(file.name for file in tmp_path.iterdir()) == ["inspect.html", "other.html"]


def test_json_has_the_text_and_every_view(trained: Path) -> None:
    code, out, err = zoo("inspect", str(trained), "407", "--json", "--tokens", "3", "--seed", "2")
    assert code == 0, err
    found = json.loads(out)
    assert [token["text"] for token in found["tokens"]][1:4] == ["4", "0", "7"]
    assert len(found["views"]["next_token"]) <= 3
    assert found["sampling"]["seed"] == 2


def test_a_preset_of_any_size_has_a_page_without_weights(tmp_path: Path) -> None:
    """The published Llama 3, whose number of parameters is known."""
    file = tmp_path / "page.html"
    code, _, err = zoo("inspect", "model=llama3/8b", "--out", str(file))
    assert code == 0, err
    text = file.read_text(encoding="utf8")
    found = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert found["views"]["parameters"]["parameters"] == 8_030_261_248
    assert set(found["views"]) == {"parameters", "shapes"}
    assert '<section id="shapes"' in text
    assert '<section id="attention"' not in text


def test_steps_are_printed_with_the_text_of_generate(trained: Path) -> None:
    text = zoo("generate", str(trained), "407", "--greedy", "--tokens", "4").out.strip("\n")
    code, out, err = zoo("generate", str(trained), "407", "--greedy", "--tokens", "4", "--steps")
    assert code == 0, err
    lines = out.splitlines()
    assert lines[0].split() == ["chosen", "probability", "likeliest", "tokens"]
    assert lines[1].split()[0] == "1"
    assert "%" in lines[1]
    assert out.rstrip("\n").endswith(text)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["folder"], "zoo inspect needs the folder of a run or checkpoint, and one or two texts: got 1 words"),
        (["folder", "a", "--language", "fr"], "--language: unknown choice 'fr': choices: en, zh"),
        (["folder", "a", "--tokens", "-1"], "--tokens: must not be negative: got -1"),
        (["folder", "a", "--temperature", "0"], "--temperature: must be positive"),
        (["folder", "a", "--json", "--out", "x"], "--json: makes no sense together with --out"),
        (["model=gpt2", "--seed", "1"], "--seed: goes with the folder of a model that has weights"),
        (["model=gpt2", "--language", "fr"], "--language: unknown choice 'fr': choices: en, zh"),
        (["model=gpt2", "--json", "--out", "x"], "--json: makes no sense together with --out"),
        (["folder", "a", "--json", "--language", "zh"], "--json: makes no sense together with --language"),
        (["model=gpx"], "model: unknown choice 'gpx'"),
        (["nowhere", "a"], "nowhere is neither a run nor a checkpoint"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], line: str) -> None:
    code, _, err = zoo("inspect", *words)
    assert code == 2
    assert line in err
