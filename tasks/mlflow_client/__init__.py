"""MLflow: what a run logs, its inputs, the model registry, and models for serving."""
