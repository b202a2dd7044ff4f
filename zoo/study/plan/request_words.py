"""Words of ``zoo study`` that choose the runs of a study; importing this module loads neither torch nor Hydra."""

from __future__ import annotations

from collections.abc import Sequence


def list_request_words(words: Sequence[str], allowed: Sequence[str], flags: Sequence[str]) -> list[str] | None:
    """Returns the words that choose the runs of a study; None if flags of Hydra may choose them too."""
    return None if flags else [*words, *(f"--allow-target={module}" for module in allowed)]
