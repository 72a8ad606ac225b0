"""What `stores/redis.py` stands on: all of a store on Redis but the client library."""
