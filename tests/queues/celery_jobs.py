"""A Celery application whose jobs can be killed. Started by tests as a worker."""

from __future__ import annotations

import os

from celery import Celery, Task  # type: ignore[import-untyped]

from agentprogress import SessionRegistry
from agentprogress.errors import SessionConflict

from .job import work_until_told

URL = os.environ["AGENTPROGRESS_STORE"]

registry = SessionRegistry.from_env()
app = Celery("jobs", broker=URL)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    # What a worker had when it was killed is delivered again as soon as another one looks.
    broker_transport_options={
        "visibility_timeout": 1,
        "unacked_restore_interval": 1,
        "unacked_restore_throttle": 1,
    },
)


@app.task(name="work", bind=True, max_retries=None)  # type: ignore[untyped-decorator]
def work(self: Task, session_id: str) -> None:
    try:
        work_until_told(registry, URL, session_id)
    except SessionConflict as conflict:
        if conflict.status == "running":
            raise self.retry(countdown=registry.settings.lease_ttl) from None
