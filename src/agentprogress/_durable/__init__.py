"""Sessions that live in a store: `sessions.py` is the way in; see docs/architecture.md."""
