"""The MLflow mirror of the run records."""
