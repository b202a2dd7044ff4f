"""Built-in components: one file for each component, one folder for each kind."""
