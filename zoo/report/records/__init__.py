"""Records of runs and studies, which reports are computed from."""
