"""A session as a terminal shows it: a view drawn in place, or lines. Knows no server."""
