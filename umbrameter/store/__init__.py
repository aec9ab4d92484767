"""Artefacts on disk, their schemas and metadata, and the steps that make them."""
