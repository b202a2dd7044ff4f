"""What seeds tell and what they do not: intervals, tests, verdicts, power, when to stop, and suites of tasks."""

from zoo.statistics.interval import Interval, bootstrap_interval, deviation, mean_interval, paired_difference
from zoo.statistics.paired import difference_p, equivalence_p, holm, probability_above
from zoo.statistics.power import detectable, equivalence_power, pairs_to_decide, power
from zoo.statistics.sequential import Look, decide, sequence_interval
from zoo.statistics.suite import interquartile_interval, interquartile_mean
from zoo.statistics.trial import Trial, compare_by_looks, trial
from zoo.statistics.verdict import Comparison, Values, Verdict, compare

__all__ = [
    "Comparison",
    "Interval",
    "Look",
    "Trial",
    "Values",
    "Verdict",
    "bootstrap_interval",
    "compare",
    "compare_by_looks",
    "decide",
    "detectable",
    "deviation",
    "difference_p",
    "equivalence_p",
    "equivalence_power",
    "holm",
    "interquartile_interval",
    "interquartile_mean",
    "mean_interval",
    "paired_difference",
    "pairs_to_decide",
    "power",
    "probability_above",
    "sequence_interval",
    "trial",
]
