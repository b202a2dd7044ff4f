"""Configuration: composition by Hydra, and the pass that checks what was composed."""
