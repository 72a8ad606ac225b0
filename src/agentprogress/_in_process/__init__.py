"""Sessions that live in this process alone: no store, no thread, nothing to wait for."""
