"""Data sets of the Hugging Face hub."""

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
    """A data set of the Hugging Face hub, or a local folder in one of its formats.

    Needs the extra ``hf``. The data set's own validation split is used if it has one; else documents of the
    training split are held out, chosen by a hash of their text.

    Args:
        path: name on the hub, or a local folder (which wins).
        subset: which configuration of the data set.
        revision: branch, tag or commit on the hub. A hub data set is known by name and revision only: name a commit
            to be told apart from later versions.
        column: which column holds the text.
        train_split: name of the training split.
        validation_split: name of the validation split; unset: ``validation`` if there is one, else hold out.
        validation: fraction of the training split held out, where there is no validation split.
        streaming: read while downloading; else download first.
        documents: read no more than so many documents of each split of the data set; unset: all.

    Raises:
        Refused: if the package ``datasets`` is missing, the data set, split or column cannot be found, or a text is
            not a string.
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
        """Options, the version of ``datasets``, and paths and contents of local files."""
        _datasets()
        folder = Path(self.path).expanduser()
        local = digest_files(sorted(file for file in folder.rglob("*") if file.is_file())) if folder.is_dir() else "hub"
        splits = f"train_split={self.train_split} validation_split={self.validation_split} validation={self.validation}"
        which = f"path={self.path} subset={self.subset} revision={self.revision} column={self.column}"
        return f"hf {which} {splits} documents={self.limit} datasets={version('datasets')} files={local}"

    def documents(self, split: Split) -> Iterator[str]:
        """The documents of a split, in the order of the data set."""
        own = self._own_validation_split()
        if own is not None:
            return self._texts(self.train_split if split == "train" else own)
        texts = self._texts(self.train_split)
        return (text for text in texts if (hash_to_fraction(text) < self.validation) is (split == "validation"))

    def _own_validation_split(self) -> str | None:
        with _refusing(self.path):
            names = _datasets().get_dataset_split_names(self._where(), self.subset, revision=self.revision)
        for wanted in (self.train_split, self.validation_split):
            if wanted is not None and wanted not in names:
                raise Refused(f"data hf: {self.path} has no split {wanted!r}: {suggest(wanted, names)}")
        if self.validation_split is not None:
            return self.validation_split
        return "validation" if "validation" in names else None

    def _texts(self, name: str) -> Iterator[str]:
        with _refusing(self.path):
            found = _datasets().load_dataset(
                self._where(), self.subset, revision=self.revision, split=name, streaming=self.streaming
            )
        for number, row in enumerate(itertools.islice(found, self.limit)):
            if self.column not in row:
                raise Refused(f"data hf: {self.path} has no column {self.column!r}: {suggest(self.column, row)}")
            text = row[self.column]
            if not isinstance(text, str):
                raise Refused(
                    f"data hf: {self.path}, {name} row {number}: column {self.column} holds no string: {text!r}"
                )
            yield text

    def _where(self) -> str:
        folder = Path(self.path).expanduser()
        return str(folder) if folder.is_dir() else self.path


def _datasets() -> Any:
    try:
        import datasets
    except ImportError:
        raise Refused("data hf needs the extra hf: pip install 'transformer-zoo[hf]'") from None
    return datasets


@contextmanager
def _refusing(path: str) -> Iterator[None]:
    """Turn what ``datasets`` raises when it finds nothing, or not what was asked for, into one line."""
    try:
        yield
    except (OSError, ValueError) as error:
        first = str(error).strip().splitlines()[:1]
        raise Refused(f"data hf: {path} cannot be loaded: {type(error).__name__}: {' '.join(first)}") from error
