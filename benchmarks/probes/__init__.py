"""What is measured inside a process of its own, which prints its values as JSON."""
