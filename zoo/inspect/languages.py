"""Languages of pages."""

LANGUAGES = ("en", "zh")
"""English and Chinese: every text of a page has both."""
