from __future__ import annotations

import json

from agentprogress._core.batch import Batch
from agentprogress.events import LogMessage, UnknownEvent

FRAMES = [
    b'{"seq":7,"time":"2026-11-22T19:30:00.000Z","type":"log.message","message":"a"}',
    b'{"seq":8,"time":"2026-11-22T19:30:00.000Z","type":"quantum.leaped","far":true}',
]


def test_a_batch_knows_which_events_it_holds() -> None:
    batch = Batch("e" * 10, 7, FRAMES)
    assert (batch.first, batch.last) == (7, 8)


def test_one_websocket_message_is_an_array_of_the_frames() -> None:
    assert json.loads(Batch("e" * 10, 7, FRAMES).websocket) == [json.loads(f) for f in FRAMES]


def test_each_event_of_a_chunk_has_its_own_cursor() -> None:
    chunk = Batch("e" * 10, 7, FRAMES).sse
    assert [line for line in chunk.split(b"\n") if line.startswith(b"id:")] == [
        b"id: eeeeeeeeee-7",
        b"id: eeeeeeeeee-8",
    ]


def test_events_are_decoded_and_unknown_ones_kept_whole() -> None:
    known, unknown = Batch("e" * 10, 7, FRAMES).events
    assert isinstance(known, LogMessage)
    assert isinstance(unknown, UnknownEvent)
    assert unknown.model_extra == {"far": True}


def test_each_form_is_made_once_and_shared() -> None:
    batch = Batch("e" * 10, 7, FRAMES)
    assert batch.websocket is batch.websocket
    assert batch.sse is batch.sse
    assert batch.events is batch.events
