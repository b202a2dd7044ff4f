"""Training: a checked config becomes a run, and a run leaves a folder."""
