"""Plans: a study file or a command line becomes arms, tasks, and controls."""
