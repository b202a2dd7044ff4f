"""How near written texts come to their targets: BLEU or chrF, as sacreBLEU defines them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from zoo.data.interfaces import TextMetric


@dataclass(frozen=True)
class TextScore:
    """A score of a corpus.

    Attributes:
        name: what was computed; scores of other names cannot be compared with it.
        value: from 0 to 1, where all texts equal their targets.
        signature: sacreBLEU's, with every setting and the version.
        texts: how many were written.
    """

    name: TextMetric
    value: float
    signature: str
    texts: int


def score_texts(metric: TextMetric, written: Sequence[str], targets: Sequence[str]) -> TextScore:
    """Score texts against one target each, all together.

    BLEU (Papineni et al. 2002) is of words as the tokenizer behind the underscore divides them; n-grams longer than
    every text do not count, so that a corpus of short answers can reach 1. chrF (Popović 2015) is of characters.
    Source: Post 2018, arXiv:1804.08771.
    """
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF

    family, _, tokenizer = metric.partition("_")
    scorer = CHRF() if family == "chrf" else BLEU(tokenize=tokenizer, effective_order=True, force=True)
    value = scorer.corpus_score(list(written), [list(targets)]).score / 100
    return TextScore(metric, min(1.0, value), str(scorer.get_signature()), len(written))
