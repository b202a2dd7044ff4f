"""Claims: tables, verdicts, and the answer."""
