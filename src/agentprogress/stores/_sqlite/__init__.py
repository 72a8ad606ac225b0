"""What `stores/sqlite.py` stands on: the file, its tables, and a module for each kind of call."""
