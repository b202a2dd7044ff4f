"""Files, processes, signals, and terminal output."""
