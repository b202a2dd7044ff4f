"""The command line of zoo, one module for each command, which imports late what is heavy."""
