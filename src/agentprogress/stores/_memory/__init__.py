"""The sessions of `stores/memory.py` and its listener."""
