"""What sessions in a store cost: commits, latency, memory, what idles, and gateways.

A store is a real one: a valkey-server that this process starts, and a database file of its own.
Who produces or follows is a process of its own.
"""
