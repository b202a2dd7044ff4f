"""Statistics over seeds: intervals, tests, verdicts, power analysis, sequential stopping, and suites of tasks."""

from zoo.statistics.interval import (
    Interval,
    compute_bootstrap_interval,
    compute_deviation,
    compute_mean_interval,
    compute_paired_difference,
)
from zoo.statistics.paired import (
    adjust_p_values,
    compute_difference_p,
    compute_equivalence_p,
    predict_probability_above,
)
from zoo.statistics.power import (
    bound_equivalence_power,
    compute_detectable_effect,
    compute_power,
    estimate_pairs,
)
from zoo.statistics.sequential import Look, compute_sequence_interval, run_sequential_test
from zoo.statistics.suite import compute_interquartile_interval, compute_interquartile_mean
from zoo.statistics.trial import Trial, compare_sequentially, run_trial
from zoo.statistics.verdict import Comparison, Values, Verdict, compare

__all__ = [
    "Comparison",
    "Interval",
    "Look",
    "Trial",
    "Values",
    "Verdict",
    "adjust_p_values",
    "bound_equivalence_power",
    "compare",
    "compare_sequentially",
    "compute_bootstrap_interval",
    "compute_detectable_effect",
    "compute_deviation",
    "compute_difference_p",
    "compute_equivalence_p",
    "compute_interquartile_interval",
    "compute_interquartile_mean",
    "compute_mean_interval",
    "compute_paired_difference",
    "compute_power",
    "compute_sequence_interval",
    "estimate_pairs",
    "predict_probability_above",
    "run_sequential_test",
    "run_trial",
]
