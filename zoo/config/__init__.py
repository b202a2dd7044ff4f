"""Configuration: composition with Hydra, and the checks of a composed config."""
