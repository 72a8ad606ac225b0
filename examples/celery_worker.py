"""Jobs in Celery's workers, watched by whoever asks.

    export AGENTPROGRESS_STORE=redis://localhost:6379/0
    export AGENTPROGRESS_BASE_URL=http://127.0.0.1:8765/progress
    celery -A examples.celery_worker worker
    agentprogress serve
    python -m examples.celery_worker tea

The second line is where the gateway, `agentprogress serve`, is reached. The last line stands for a
web application: it prints the address of a page that shows the job, which may still be waiting.
"""

import os
import sys

from celery import Celery, Task  # type: ignore[import-untyped]

from agentprogress import SessionHandle, SessionRegistry, track
from agentprogress.errors import SessionConflict

registry = SessionRegistry.from_env()
app = Celery("reports", broker=os.environ["AGENTPROGRESS_STORE"])
# A job whose worker has died is delivered once more.
app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True)


@app.task(name="write_report", bind=True, max_retries=None)  # type: ignore[untyped-decorator]
def write_report(self: Task, session_id: str, topic: str) -> None:
    try:
        with registry.open(session_id=session_id, existing="resume") as session:
            for source in track(("filings", "news", "prices"), "research", unit="source"):
                session.log(f"read {source}")  # the real work
            session.complete({"topic": topic})
    except SessionConflict as conflict:
        # It is believed to be at work elsewhere until its lease has run out.
        if conflict.status == "running":
            raise self.retry(countdown=registry.settings.lease_ttl) from None


def create_report(topic: str) -> SessionHandle:
    handle = registry.reserve_sync(title=f"Report on {topic}")
    app.send_task("write_report", (handle["session_id"], topic))
    return handle


if __name__ == "__main__":
    with registry:
        print(f"{create_report(sys.argv[1])['url']}/view")
