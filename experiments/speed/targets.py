"""Targets: the number that a measure must reach, and whether it does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from experiments.speed.outcome import Row


@dataclass(frozen=True)
class Target:
    """A number that must be reached.

    Args:
        measure: name of the measure.
        case: case of the row.
        side: side of the row.
        number: name of the ratio or value of the row; ``seconds`` for its median time.
        bound: the number itself.
        at_least: whether the number must be at least ``bound``; else at most.
        needs: instruction of the processor without which there is no target.
    """

    measure: str
    case: str
    side: str
    number: str
    bound: float
    at_least: bool = False
    needs: str = ""

    @property
    def text(self) -> str:
        """The bound with its sign."""
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.bound:g}{f' with {self.needs}' if self.needs else ''}"


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured; ``measured`` is None if it was not, ``met`` also where it has no target."""

    target: Target
    measured: float | None
    met: bool | None

    def as_json(self) -> dict[str, Any]:
        """Returns the verdict as JSON types."""
        return {**asdict(self.target), "target": self.target.text, "measured": self.measured, "met": self.met}


def _list_targets() -> list[Target]:
    shares = {"small": 0.88, "tiny": 0.72}
    targets = []
    for shape, share in shares.items():
        for family in ("gpt", "llama"):
            for way in ("eager", "compiled"):
                targets.append(Target("step", f"{shape} {family} {way}", "zoo", "of fastest peer", 0.97))
            case = f"{shape} {family} eager"
            targets.append(Target("step", case, "zoo", "share of the limit", share, at_least=True))
    for shape in ("small", "small, length 1,024", "tiny"):
        for family in ("gpt", "llama"):
            targets.append(Target("documents", f"{shape} {family}", "packed documents", "of plain causal", 1.03))
    for family in ("gpt", "llama"):
        case = f"vocabulary 50,304 {family}"
        targets.append(Target("vocabulary", case, "zoo", "of fastest peer", 0.90))
        targets.append(Target("vocabulary", case, "zoo", "peak of the least peer", 0.40))
    for family in ("gpt", "llama"):
        for batch in (1, 8):
            case = f"small {family}, batch {batch}"
            targets.append(Target("decode", case, "zoo", "speed of fastest peer", 1.5, at_least=True))
    for shape in ("tiny", "small", "6x384"):
        for family in ("gpt", "llama"):
            targets.append(Target("precision", f"{shape} {family}", "auto", "of float32", 1.0))
    for family in ("gpt", "llama"):
        targets.append(Target("precision", f"6x384 {family}", "auto", "of float32", 0.6, needs="amx_bf16"))
    return targets


TARGETS: tuple[Target, ...] = (
    *_list_targets(),
    Target("length", "8,192 tokens", "window 512", "time of 1,024", 1.3),
    Target("length", "8,192 tokens", "window 512", "memory of 1,024", 1.3),
    Target("experts", "small mixtral, 64 experts", "zoo", "of 8 experts", 1.3),
    Target("lightning", "small gpt", "Lightning", "of a bare loop", 1.03),
    Target("lightning", "tiny gpt", "Lightning", "of a bare loop", 1.08),
    Target("start_up", "wall time", "zoo --help", "seconds", 0.3),
    Target("start_up", "wall time", "zoo list", "seconds", 0.3),
    Target("start_up", "wall time", "zoo show model=gpt", "seconds", 2.5),
    Target("start_up", "wall time", "zoo train, one step", "seconds", 4.0),
    Target("dry_run", "1,000 cells", "zoo", "seconds", 30.0),
    Target("study", "24 runs", "study", "of one after another", 0.35),
)


def judge(measures: Mapping[str, Sequence[Row]], instructions: Sequence[str]) -> list[Verdict]:
    """Judges all targets of the measures that were taken.

    Args:
        measures: rows by name of the measure.
        instructions: of the processor.
    """
    return [_judge(target, measures[target.measure], instructions) for target in TARGETS if target.measure in measures]


def _judge(target: Target, rows: Sequence[Row], instructions: Sequence[str]) -> Verdict:
    row = next((row for row in rows if (row.case, row.side) == (target.case, target.side)), None)
    measured = None if row is None else row.get_number(target.number)
    if measured is None or (target.needs and target.needs not in instructions):
        return Verdict(target, measured, None)
    return Verdict(target, measured, measured >= target.bound if target.at_least else measured <= target.bound)
