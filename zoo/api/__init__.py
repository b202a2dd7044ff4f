"""The functions of :mod:`zoo` itself: models, runs, studies, and reports from Python."""
