"""Finished audits that several files look at."""

from tests.running.everything import everything

__all__ = ["everything"]
