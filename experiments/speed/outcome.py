"""Outcomes of measures, as they are written to results.json."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from experiments.speed.clock import compute_quartiles


@dataclass(frozen=True)
class Row:
    """A side in a case.

    Args:
        case: such as ``small gpt eager``.
        side: such as ``zoo`` or the name of a peer.
        seconds: raw times, one a round; of a step, a token or a command, as the measure says.
        ratios: lower quartile, median and upper quartile of ratios to other sides within a round, by their names.
        values: further numbers, such as bytes.
        note: in what a side differs; or, without times, why it was not measured.
    """

    case: str
    side: str
    seconds: Sequence[float] = ()
    ratios: Mapping[str, Sequence[float]] = field(default_factory=dict)
    values: Mapping[str, float] = field(default_factory=dict)
    note: str = ""

    @property
    def status(self) -> str:
        """``measured`` or ``not measured``."""
        return "measured" if self.seconds or self.values else "not measured"

    def get_number(self, name: str) -> float | None:
        """Returns the median of a ratio, a value, or for ``seconds`` the median time; None if there is none."""
        if name == "seconds":
            return compute_quartiles(self.seconds)[1] if self.seconds else None
        return self.ratios[name][1] if name in self.ratios else self.values.get(name)

    def as_json(self) -> dict[str, Any]:
        """Returns the row as JSON types, with median and quartiles of its times to five digits."""
        quartiles = _round(compute_quartiles(self.seconds)) if self.seconds else []
        spread = {"median": quartiles[1], "quartiles": [quartiles[0], quartiles[2]]} if quartiles else {}
        return {"status": self.status, **{key: _round(value) for key, value in asdict(self).items() if value}, **spread}


def read_row(given: Mapping[str, Any]) -> Row:
    """Reads a row from JSON types."""
    return Row(**{key: given[key] for key in ("case", "side", "seconds", "ratios", "values", "note") if key in given})


def _round(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.5g}")
    if isinstance(value, Mapping):
        return {key: _round(each) for key, each in value.items()}
    return [_round(each) for each in value] if isinstance(value, list | tuple) else value
