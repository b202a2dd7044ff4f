"""Forecasts: what a study would run and how long it would take."""
