"""Prediction vectors: checked, aligned with the data's classes, read from Parquet."""
