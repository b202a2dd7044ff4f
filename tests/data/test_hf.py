from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from zoo.checks import Refused
from zoo.components.data.hf import HuggingFace


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(Refused, match=r"data hf needs the extra hf: pip install 'transformer-zoo\[hf\]'"):
        HuggingFace(path="anything").identity()


@pytest.mark.parametrize(
    ("options", "message"),
    [({"path": ""}, "path=''"), ({"path": "x", "documents": 0}, "documents=0"), ({"path": "x", "validation": 1}, "=1")],
)
def test_bad_options_are_refused(options, message: str):
    with pytest.raises(Refused, match=message):
        HuggingFace(**options)


class TestLocalFolder:
    @pytest.fixture(autouse=True)
    def _package(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        datasets = pytest.importorskip("datasets", reason="the extra hf is not installed")
        monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hub")
        datasets.disable_progress_bars()

    @pytest.fixture
    def folder(self, write, tmp_path: Path):
        def make(**splits: list[dict]) -> str:
            for name, rows in splits.items():
                write(f"set/{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
            return str(tmp_path / "set")

        return make

    @pytest.mark.parametrize("streaming", [False, True])
    def test_without_validation_split_some_are_held_out(self, folder, streaming: bool):
        texts = [f"text {number}" for number in range(60)]
        data = HuggingFace(path=folder(train=[{"text": text} for text in texts]), validation=0.3, streaming=streaming)
        train, validation = list(data.documents("train")), list(data.documents("validation"))
        assert validation
        assert sorted(train + validation) == sorted(texts)

    def test_its_own_validation_split_is_used(self, folder):
        path = folder(train=[{"body": "a"}, {"body": "b"}, {"body": "c"}], validation=[{"body": "d"}])
        data = HuggingFace(path=path, column="body", documents=2)
        assert list(data.documents("train")) == ["a", "b"]
        assert list(data.documents("validation")) == ["d"]

    def test_what_is_not_there_is_refused(self, folder, tmp_path: Path):
        path = folder(train=[{"text": "a", "number": 3}])
        with pytest.raises(Refused, match="no column 'txt': did you mean text"):
            list(HuggingFace(path=path, column="txt").documents("train"))
        with pytest.raises(Refused, match="train row 0: column number must be a string: got 3"):
            list(HuggingFace(path=path, column="number").documents("train"))
        with pytest.raises(Refused, match="no split 'dev': choices: train"):
            list(HuggingFace(path=path, validation_split="dev").documents("train"))
        (tmp_path / "nothing").mkdir()
        with pytest.raises(Refused, match="nothing cannot be loaded"):
            list(HuggingFace(path=str(tmp_path / "nothing")).documents("train"))

    def test_identity_knows_options_and_files(self, folder):
        path = folder(train=[{"text": "a"}])
        seen = {HuggingFace(path=path).identity(), HuggingFace(path=path, documents=3).identity()}
        folder(train=[{"text": "other"}])
        seen.add(HuggingFace(path=path).identity())
        assert len(seen) == 3
