"""Stores of sessions that outlive a process, each in its own module."""
