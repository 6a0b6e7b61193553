"""Routes: one file for each theme, each with a `router`."""
