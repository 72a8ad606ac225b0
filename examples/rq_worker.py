"""Jobs in RQ's workers, watched by whoever asks.

    export AGENTPROGRESS_STORE=redis://localhost:6379/0
    export AGENTPROGRESS_BASE_URL=http://127.0.0.1:8765/progress
    rq worker --url $AGENTPROGRESS_STORE --with-scheduler
    agentprogress serve
    python -m examples.rq_worker tea

The second line is where the gateway, `agentprogress serve`, is reached. The last line stands for a
web application: it prints the address of a page that shows the job, which may still be waiting.
"""

import os
import sys

from redis import Redis
from rq import Queue, Retry

from agentprogress import SessionHandle, SessionRegistry, track
from agentprogress.errors import SessionConflict

registry = SessionRegistry.from_env()
queue = Queue(connection=Redis.from_url(os.environ["AGENTPROGRESS_STORE"]))


def write_report(session_id: str, topic: str) -> Retry | None:
    try:
        with registry.open(session_id=session_id, existing="resume") as session:
            for source in track(("filings", "news", "prices"), "research", unit="source"):
                session.log(f"read {source}")  # the real work
            session.complete({"topic": topic})
    except SessionConflict as conflict:
        # It is believed to be at work elsewhere until its lease has run out.
        if conflict.status == "running":
            return Retry(max=100, interval=int(registry.settings.lease_ttl))
    return None


def create_report(topic: str) -> SessionHandle:
    handle = registry.reserve_sync(title=f"Report on {topic}")
    # A job whose worker has died is begun once more.
    queue.enqueue(
        "examples.rq_worker.write_report", handle["session_id"], topic, retry=Retry(max=3)
    )
    return handle


if __name__ == "__main__":
    with registry:
        print(f"{create_report(sys.argv[1])['url']}/view")
