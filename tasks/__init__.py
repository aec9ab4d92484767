"""Prefect tasks: the unit of orchestration. Paths of artefacts in, paths of artefacts out."""
