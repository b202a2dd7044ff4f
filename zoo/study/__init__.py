"""Studies: a question, arms that differ, seeds, tasks; expanded, run, reported."""
