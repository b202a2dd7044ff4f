"""BLEU and chrF of generated texts, as defined by sacreBLEU."""

from __future__ import annotations

from collections.abc import Sequence

from zoo.data.interfaces import TextMetric
from zoo.runs.run_result import TextScore


def score_texts(metric: TextMetric, written: Sequence[str], targets: Sequence[str]) -> TextScore:
    """Scores a corpus of texts against one target each.

    BLEU (Papineni et al. 2002) uses the tokenizer named after the underscore; orders of n-grams longer than all texts
    are left out, so that a corpus of short answers can reach 1. chrF (Popović 2015) uses characters.
    Source: Post 2018, arXiv:1804.08771.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    family, _, tokenizer = metric.partition("_")
    scorer = CHRF() if family == "chrf" else BLEU(tokenize=tokenizer, effective_order=True, force=True)
    value = scorer.corpus_score(list(written), [list(targets)]).score / 100
    return TextScore(metric, min(1.0, value), str(scorer.get_signature()), len(written))
