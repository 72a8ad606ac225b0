"""The process of one measured server: uvicorn with the same settings for every contender.

It prints its port, and it ends by itself when nobody has ended it, so that a killed benchmark
leaves nothing behind.
"""

import os
import signal
import socket
import sys

import uvicorn

LIFETIME = 600


def main(target: str) -> None:
    """Serves `target` ("package.module:app") on a free port of the loopback interface."""
    signal.alarm(LIFETIME)
    listener = socket.socket()
    # Accepted connections inherit it; by default Linux lets it grow to megabytes.
    if send_buffer := os.environ.get("BENCHMARK_SEND_BUFFER"):
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, int(send_buffer))
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        target,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        # A counting client answers no pings, and a slow contender may outlast the ping timeout.
        ws_ping_interval=0,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=2,
    )
    config.load()
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main(sys.argv[1])
