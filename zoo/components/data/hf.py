"""Data sets of the Hugging Face Hub."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, final

from zoo.checks import Refused, require_positive, suggest
from zoo.data.interfaces import Documents, Split
from zoo.data.split import hash_to_fraction, require_fraction
from zoo.data.text_files import digest_files
from zoo.registry import register


@final
@register("data", "hf")
class HuggingFace(Documents):
    """Data set of the Hugging Face Hub, or a local folder in a format that ``datasets`` can load.

    Requires the extra ``hf``. Uses the validation split of the data set if there is one; otherwise, documents of the
    training split are held out, selected by a hash of their text.

    Args:
        path: name of the data set on the Hub, or a local folder, which takes precedence.
        subset: name of the configuration of the data set.
        revision: branch, tag or commit on the Hub. A data set on the Hub is identified by name and revision only; give
            a commit to distinguish it from later versions.
        column: name of the column with the text.
        train_split: name of the training split.
        validation_split: name of the validation split; null for ``validation`` if the data set has it, and otherwise to
            hold out documents.
        validation: fraction of the training split to hold out if there is no validation split.
        streaming: whether to stream the data set instead of downloading it first.
        documents: greatest number of documents to read from each split of the data set; null for all.

    Raises:
        Refused: if the package ``datasets`` is not installed, if the data set, split or column cannot be found, or if a
            text is not a string.
    """

    def __init__(
        self,
        *,
        path: str,
        subset: str | None = None,
        revision: str | None = None,
        column: str = "text",
        train_split: str = "train",
        validation_split: str | None = None,
        validation: float = 0.05,
        streaming: bool = False,
        documents: int | None = None,
    ) -> None:
        require_fraction(validation)
        if not path:
            raise Refused("data hf: path must name a data set or folder: got path=''")
        if documents is not None:
            require_positive("documents", documents)
        self.path = path
        self.subset = subset
        self.revision = revision
        self.column = column
        self.train_split = train_split
        self.validation_split = validation_split
        self.validation = validation
        self.streaming = streaming
        self.limit = documents

    def identity(self) -> str:
        """Returns the options, the version of ``datasets``, and a hash of the paths and contents of local files."""
        _import_datasets()
        folder = Path(self.path).expanduser()
        local = digest_files(sorted(file for file in folder.rglob("*") if file.is_file())) if folder.is_dir() else "hub"
        splits = f"train_split={self.train_split} validation_split={self.validation_split} validation={self.validation}"
        source = f"path={self.path} subset={self.subset} revision={self.revision} column={self.column}"
        return f"hf {source} {splits} documents={self.limit} datasets={version('datasets')} files={local}"

    def documents(self, split: Split) -> Iterator[str]:
        """Iterates over the documents of a split, in the order of the data set."""
        validation_split = self._find_validation_split()
        if validation_split is not None:
            return self._read_texts(self.train_split if split == "train" else validation_split)
        texts = self._read_texts(self.train_split)
        return (text for text in texts if (hash_to_fraction(text) < self.validation) is (split == "validation"))

    def _find_validation_split(self) -> str | None:
        with _refuse_load_errors(self.path):
            names = _import_datasets().get_dataset_split_names(
                self._resolve_path(), self.subset, revision=self.revision
            )
        for wanted in (self.train_split, self.validation_split):
            if wanted is not None and wanted not in names:
                raise Refused(f"data hf: {self.path} has no split {wanted!r}: {suggest(wanted, names)}")
        if self.validation_split is not None:
            return self.validation_split
        return "validation" if "validation" in names else None

    def _read_texts(self, name: str) -> Iterator[str]:
        with _refuse_load_errors(self.path):
            rows = _import_datasets().load_dataset(
                self._resolve_path(), self.subset, revision=self.revision, split=name, streaming=self.streaming
            )
        for number, row in enumerate(itertools.islice(rows, self.limit)):
            if self.column not in row:
                raise Refused(f"data hf: {self.path} has no column {self.column!r}: {suggest(self.column, row)}")
            text = row[self.column]
            if not isinstance(text, str):
                raise Refused(
                    f"data hf: {self.path}, {name} row {number}: column {self.column} must be a string: got {text!r}"
                )
            yield text

    def _resolve_path(self) -> str:
        folder = Path(self.path).expanduser()
        return str(folder) if folder.is_dir() else self.path


def _import_datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise Refused("data hf needs the extra hf: pip install 'transformer-zoo[hf]'") from None
    return datasets


@contextmanager
def _refuse_load_errors(path: str) -> Iterator[None]:
    """Converts errors of ``datasets`` about missing or unsuitable data into :class:`zoo.checks.Refused`."""
    try:
        yield
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[:1]
        raise Refused(f"data hf: {path} cannot be loaded: {type(error).__name__}: {' '.join(first)}") from error
