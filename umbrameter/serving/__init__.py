"""Attack models and mitigated models in a folder, as MLflow loads them."""
