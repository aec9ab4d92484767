"""Estimates with intervals, as pure functions on arrays."""
