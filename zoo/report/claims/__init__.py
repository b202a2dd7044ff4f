"""Claims: tables, verdicts and the answer of a report."""
