"""Hash-based selection of held-out texts, independent of order, process and seed."""

from __future__ import annotations

import hashlib
from collections.abc import Collection

from zoo.checks import Refused


def require_fraction(validation: float) -> None:
    """Raises :class:`Refused` for a held-out fraction outside the open interval (0, 1)."""
    if not 0 < validation < 1:
        raise Refused(f"validation must be greater than 0 and less than 1: got validation={validation}")


def hash_to_fraction(key: str) -> float:
    """Maps a key to a pseudo-random number in [0, 1) that depends on the key alone."""
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def select_held_out(keys: Collection[str], validation: float) -> frozenset[str]:
    """Selects about the fraction ``validation`` of ``keys``, and at least one key.

    Whether a key is held out does not depend on the other keys. The only exception: if no key would be held out, the
    key with the smallest hash is.
    """
    chosen = frozenset(key for key in keys if hash_to_fraction(key) < validation)
    return chosen or frozenset(sorted(keys, key=lambda key: (hash_to_fraction(key), key))[:1])
