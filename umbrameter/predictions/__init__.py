"""Prediction vectors: reading them from Parquet, checking them, aligning them with the data's classes."""
