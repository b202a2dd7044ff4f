"""Results of a finished run: metrics, cost, and examples of generated text."""

from __future__ import annotations

import math
from typing import Any

from zoo.data.batch import PairBatch
from zoo.data.interfaces import Pairs
from zoo.generation.greedy import answer_sources
from zoo.model import build
from zoo.model.cost import build_on_meta, compute_cost, measure_cache_bytes
from zoo.model.executed_flops import measure_executed_flops_per_token
from zoo.model.parts import create_part
from zoo.runs.run_result import GeneratedText, RunResult, TextScore
from zoo.system.units import format_percent
from zoo.training.batches import Share, ValidationViews
from zoo.training.job import Job
from zoo.training.lightning_module import Training
from zoo.training.text_metric import score_texts

_WRITTEN = 128  # validation sources, evenly spaced, for which answers are generated_sources


def build_result(job: Job, module: Training, peak: int, energy: float | None) -> RunResult:
    """Builds the result of a training, without what is known once its files are written.

    Args:
        job: the job that was trained.
        module: the module at the end of training.
        peak: peak memory in bytes.
        energy: energy of the training in joules; None if unknown.
    """
    examples, score = _generate_examples(job, module)
    speed = {"tokens_per_second": int(module.tokens) / max(module.seconds, 1e-9)}
    written: dict[str, float] = {} if score is None else {score.name: score.value}
    metrics = {**module.evaluated, **written, **_compute_stored_bits(job, module), **speed}
    return RunResult(
        folder=job.folder.path.resolve(),
        metrics={name: value if math.isfinite(value) else None for name, value in metrics.items()},
        diverged=module.diverged or not math.isfinite(metrics.get("loss", 0.0)),
        by_length=module.evaluation.by_length,
        cost={**_compute_cost(job), "peak_memory_bytes": peak},
        steps=module.global_step,
        tokens=int(module.tokens),
        seconds=module.seconds,
        energy_joules=energy,
        samples=examples,
        text_metric=score,
        text_lost=job.prepared.lost,
        withheld=_list_withheld(job),
        **vars(job.start),
    )


def _list_withheld(job: Job) -> dict[str, str]:
    """Lists metrics of the objective that this run lacks, each with the reason."""
    lost = job.prepared.lost["validation"]
    if not lost or not job.objective.models_text or job.prepared.form == Pairs.form:
        return {}
    return {"bits_per_byte": f"the tokenizer does not give back {format_percent(lost)} of the validation text"}


def _compute_cost(job: Job) -> dict[str, int | None]:
    """Computes the cost of the model for rows of the size of the first validation batch."""
    views = ValidationViews(job.prepared.validation, job.objective, job.config.batch, Share())
    inputs = views[0].inputs
    model = build_on_meta(job.plan, job.prepared.vocabulary.size)
    what = compute_cost(model, inputs.tokens.shape[1], 0 if inputs.source is None else inputs.source.shape[1])
    remembered = measure_cache_bytes(model, what.length, what.source) if model.reader.causal else None
    executed = measure_executed_flops_per_token(model, what.length, what.source)
    return {**vars(what), "executed_flops_per_token": executed, "cache_bytes": remembered}


def _build_source(job: Job) -> Any:
    """Builds the data source of a job, which scores generated texts."""
    return build.make_component(create_part("data", job.config.data.source, "data"))


def _compute_stored_bits(job: Job, module: Training) -> dict[str, float]:
    """Computes the bits that each parameter stores of random targets: their entropy minus the remaining loss."""
    bits = _build_source(job).compute_target_bits() if job.prepared.form == Pairs.form else None
    if bits is None:
        return {}
    missing = module.evaluated["target_nll"] / math.log(2) * len(job.prepared.validation)
    return {"bits_per_parameter": (bits - missing) / sum(parameter.numel() for parameter in job.model.parameters())}


def _generate_examples(job: Job, module: Training) -> tuple[tuple[GeneratedText, ...], TextScore | None]:
    """Generates answers to validation sources, and scores them against the targets."""
    if job.prepared.form != Pairs.form:
        return (), None
    rows, decode = job.prepared.validation, job.prepared.decode
    batch = rows.get_batch(_spread_rows(len(rows), _WRITTEN))
    if not isinstance(batch, PairBatch):
        raise TypeError("rows of pairs make batches of pairs")
    both_ways = "prefix" in job.objective.needs
    job.model.eval()
    named = job.objective.generate_targets(job.model, batch)
    written, device = named, job.model.embedding.table.weight.device  # other than the module's after sharded training
    if written is None:
        written = answer_sources(job.model, batch.to(device), job.prepared.vocabulary, prefix=both_ways)
    texts = [
        GeneratedText(
            decode(batch.source[row, : batch.source_length[row]].tolist()),
            decode(batch.target[row, : batch.target_length[row]].tolist()),
            decode(tokens),
        )
        for row, tokens in enumerate(written)
    ]
    shown = tuple(texts[row] for row in _spread_rows(len(texts), job.config.examples))
    if named is not None:  # classes, not texts
        return shown, None
    predictions, targets = [text.prediction for text in texts], [text.target for text in texts]
    return shown, score_texts(_build_source(job).choose_text_metric(), predictions, targets)


def _spread_rows(rows: int, most: int) -> list[int]:
    """Spreads up to ``most`` indices evenly over the rows, because a split may be sorted."""
    count = min(rows, most)
    return [row * rows // count for row in range(count)]
