"""The specs that users write: an audit, a sweep, an audit of stored predictions, limits; and their error messages."""
