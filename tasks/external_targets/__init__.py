"""Targets that were trained elsewhere: met, asked within a budget, and seen to stay the same."""
