"""Which texts are held out: decided by a hash, so that neither order nor process nor seed can change it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from zoo.checks import Refused


def require_fraction(validation: float) -> None:
    """Refuse a held-out fraction that leaves one of the splits empty by definition."""
    if not 0 < validation < 1:
        raise Refused(f"validation must be greater than 0 and less than 1: got validation={validation}")


def share(key: str) -> float:
    """A number in [0, 1) that looks random and depends on ``key`` alone."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def held_out(keys: Collection[str], validation: float) -> frozenset[str]:
    """About the fraction ``validation`` of ``keys``, and at least one.

    A key's side does not depend on the other keys, except where none would be held out: then it is the one with
    the smallest hash.
    """
    chosen = frozenset(key for key in keys if share(key) < validation)
    return chosen or frozenset(sorted(keys, key=lambda key: (share(key), key))[:1])
