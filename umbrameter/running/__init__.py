"""A running audit: its order, its stages, and what a driver has to offer; the drivers are `local` and the flows."""
