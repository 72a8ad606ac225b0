"""Following a session from another program."""
