"""Components: one file each, in a folder for each kind."""
