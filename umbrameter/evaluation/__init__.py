"""What an audit concludes: an attack's metrics, utility, controls, privacy guarantees, the verdict."""
