"""An attention for zoo that needs no scores."""
