"""Folders of attack models and of mitigated models, as MLflow loads them."""
