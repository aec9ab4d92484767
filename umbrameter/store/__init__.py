"""Artefacts: where they lie, their schemas, and how one is made."""
