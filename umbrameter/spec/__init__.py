"""What a user may ask for: an audit, a sweep, an audit of stored predictions, limits; and what is wrong with it."""
