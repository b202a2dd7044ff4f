"""What a finished run leaves: metrics, cost, examples of what it writes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zoo.data.batch import PairBatch
from zoo.data.interfaces import Pairs
from zoo.generation.greedy import answer_sources
from zoo.model import build
from zoo.model.cost import cache_bytes, cost, on_meta
from zoo.model.executed_flops import executed_flops_per_token
from zoo.model.parts import part_from_config
from zoo.training.batches import Share, ValidationViews
from zoo.training.job import Job
from zoo.training.lightning_module import Training
from zoo.training.text_metric import TextScore, score_texts
from zoo.units import format_percent

_WRITTEN = 128  # held-out sources, evenly spread, to which the model writes an answer_sources


def result_of(job: Job, module: Training, peak: int, energy: float | None) -> dict[str, Any]:
    """The content of ``result.json``.

    Args:
        job: what was trained.
        module: at the end.
        peak: the most memory that was held, in bytes.
        energy: that the training took, in joules, where it is known.
    """
    examples, score = _examples(job, module)
    speed = {"tokens_per_second": int(module.tokens) / max(module.seconds, 1e-9)}
    written: dict[str, float] = {} if score is None else {score.name: score.value}
    metrics = {**module.evaluated, **written, **_stored(job, module), **speed}
    return {
        "metrics": {name: value if math.isfinite(value) else None for name, value in metrics.items()},
        "diverged": module.diverged or not math.isfinite(metrics.get("loss", 0.0)),
        "by_length": module.evaluation.by_length,
        "cost": {**_cost(job), "peak_memory_bytes": peak},
        "steps": module.global_step,
        "tokens": int(module.tokens),
        "seconds": module.seconds,
        "energy_joules": energy,
        "samples": examples,
        "text_metric": None if score is None else vars(score),
        "text_lost": dict(job.prepared.lost),
        "withheld": _withheld(job),
        **job.facts,
    }


def _withheld(job: Job) -> dict[str, str]:
    """Metrics that this objective has and this run has not, each with the reason."""
    lost = job.prepared.lost["validation"]
    if not lost or not job.objective.models_text or job.prepared.form == Pairs.form:
        return {}
    return {"bits_per_byte": f"the tokenizer does not give back {format_percent(lost)} of the validation text"}


def _cost(job: Job) -> dict[str, int | None]:
    """Of the first batch of the validation split: what rows of this data and objective look like."""
    views = ValidationViews(job.prepared.validation, job.objective, job.config["batch"], Share())
    inputs = views[0].inputs
    model = on_meta(job.plan, job.prepared.vocabulary.size)
    what = cost(model, inputs.tokens.shape[1], 0 if inputs.source is None else inputs.source.shape[1])
    remembered = cache_bytes(model, what.length, what.source) if model.reader.causal else None
    executed = executed_flops_per_token(model, what.length, what.source)
    return {**vars(what), "executed_flops_per_token": executed, "cache_bytes": remembered}


def _source(job: Job) -> Any:
    """The data of a job, by which what is written of it is judged."""
    return build.make(part_from_config("data", job.config["data"], "data"))


def _stored(job: Job, module: Training) -> dict[str, float]:
    """Bits that each parameter stores of targets that only memory can tell: all of them less those still missing."""
    bits = _source(job).bits() if job.prepared.form == Pairs.form else None
    if bits is None:
        return {}
    missing = module.evaluated["target_nll"] / math.log(2) * len(job.prepared.validation)
    return {"bits_per_parameter": (bits - missing) / sum(parameter.numel() for parameter in job.model.parameters())}


def _examples(job: Job, module: Training) -> tuple[list[dict[str, str]], TextScore | None]:
    """What the model writes for some held-out sources, and how near that comes to the targets."""
    if job.prepared.form != Pairs.form:
        return [], None
    rows, decode = job.prepared.validation, job.prepared.decode
    batch = rows.batch(_spread(len(rows), _WRITTEN))
    if not isinstance(batch, PairBatch):
        raise TypeError("rows of pairs make batches of pairs")
    both_ways = "prefix" in job.objective.needs
    job.model.eval()
    named = job.objective.written(job.model, batch)
    written = named
    if written is None:
        written = answer_sources(job.model, batch.to(module.device), job.prepared.vocabulary, prefix=both_ways)
    texts = [
        {
            "source": decode(batch.source[row, : batch.source_length[row]].tolist()),
            "target": decode(batch.target[row, : batch.target_length[row]].tolist()),
            "prediction": decode(tokens),
        }
        for row, tokens in enumerate(written)
    ]
    shown = [texts[row] for row in _spread(len(texts), job.config["examples"])]
    if named is not None:  # classes, not texts
        return shown, None
    predictions, targets = ([text[key] for text in texts] for key in ("prediction", "target"))
    return shown, score_texts(_source(job).text_metric(), predictions, targets)


def _spread(rows: int, most: int) -> list[int]:
    """Up to ``most`` of so many rows, evenly spread: a split may be sorted."""
    count = min(rows, most)
    return [row * rows // count for row in range(count)]


def show(result: Mapping[str, Any]) -> str:
    """The metrics of a result in one line, and those that are withheld, with the reason."""
    told = [f"{name} {'nan' if value is None else format(value, '.5g')}" for name, value in result["metrics"].items()]
    told += [f"{name} withheld ({why})" for name, why in result.get("withheld", {}).items()]
    return "  ".join(told)
