"""A real clip through the whole chain, to be looked at."""
