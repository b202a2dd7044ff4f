"""What the command ``zoo`` does; each module imports what is heavy when it is asked for."""
