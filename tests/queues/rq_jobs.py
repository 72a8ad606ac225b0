"""A job of RQ's that can be killed."""

from __future__ import annotations

import os

from rq import Retry

from agentprogress import SessionRegistry
from agentprogress.errors import SessionConflict

from .job import work_until_told

registry = SessionRegistry.from_env()


def work(session_id: str) -> Retry | None:
    try:
        work_until_told(registry, os.environ["AGENTPROGRESS_STORE"], session_id)
    except SessionConflict as conflict:
        if conflict.status == "running":
            return Retry(max=100, interval=int(registry.settings.lease_ttl))
    return None
