"""The command line."""

from umbrameter.cli.commands import app, main

__all__ = ["app", "main"]
