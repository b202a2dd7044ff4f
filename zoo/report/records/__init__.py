"""Records: the runs that a report is made of."""
