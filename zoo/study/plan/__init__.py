"""Plans of studies: arms, tasks, and controls, read from a study file or a command line."""
