"""Targets that were trained elsewhere: connections, queries within a budget, checks for a changed model."""
