"""What the idle cost: a session nobody follows, and a subscriber that waits for the next event.

Resident memory as the kernel counts it, after a full garbage collection, divided by how many
there are. The first few are made before the first reading, so that no import, buffer or table
that is made once is counted.
"""

from collections.abc import Callable

from .client import Crowd, Follower, connect
from .figures import Figure, Target
from .servers import run_child, running_server

KIB = 1024
WARM_UP_SUBSCRIBERS = 100
WELCOME_TIMEOUT = 60.0


def figures(
    rounds: int, sessions: int, subscribers: int, progress: Callable[[str], None]
) -> list[Figure]:
    """Measures sessions, and then both servers in turn, `rounds` times."""
    idle_sessions: list[float] = []
    bare: list[float] = []
    ours: list[float] = []
    for number in range(rounds):
        idle_sessions.append(session_bytes(sessions))
        bare.append(subscriber_bytes("idle", subscribers) / KIB)
        ours.append(subscriber_bytes("ours", subscribers) / KIB)
        progress(
            f"memory {number + 1}: session {idle_sessions[-1]:,.0f} B, "
            f"subscriber {ours[-1]:.1f} KiB, bare {bare[-1]:.1f} KiB"
        )
    above = [mine - floor for mine, floor in zip(ours, bare, strict=True)]
    return [
        Figure("idle session", idle_sessions, "B", Target(3_000.0)),
        Figure("idle WebSocket, bare uvicorn", bare, "KiB"),
        Figure("idle subscriber, agentprogress", ours, "KiB"),
        Figure("idle subscriber above bare uvicorn", above, "KiB", Target(7.0)),
    ]


def session_bytes(sessions: int) -> float:
    """Returns the memory of one idle session, measured in a process of its own."""
    return float(run_child(f"{__package__}.probes.idle_sessions", str(sessions)))


def subscriber_bytes(app: str, subscribers: int) -> float:
    """Returns the memory of one idle WebSocket in the server process of an app."""
    with running_server(f"benchmarks.apps.{app}:app") as server:
        path = server.post("/open") + "/ws"
        crowds: list[Crowd] = []

        def join(count: int) -> None:
            followers: list[Follower] = [connect(server, path, "websocket") for _ in range(count)]
            crowds.append(Crowd(followers))
            crowds[-1].wait_for_welcome(WELCOME_TIMEOUT)

        try:
            join(WARM_UP_SUBSCRIBERS)
            before = server.resident_bytes()
            join(subscribers)
            return (server.resident_bytes() - before) / subscribers
        finally:
            for crowd in crowds:
                crowd.close()
