"""From scores to conclusions: an attack's metrics, utility, controls, privacy guarantees, the verdict."""
