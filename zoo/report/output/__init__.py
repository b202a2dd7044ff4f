"""Output: HTML, Markdown, CSV, JSON, and the terminal."""
