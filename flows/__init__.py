"""Flows: the order of the work and nothing else."""
