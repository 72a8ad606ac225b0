from __future__ import annotations

from hypothesis import given

from agentprogress._core.jsonable import encode_json
from agentprogress._core.sse import encode_control, encode_event
from tests.strategies import JSON


def test_an_event_is_an_unnamed_message_with_its_data_before_its_id() -> None:
    assert encode_event(b'{"seq":1}', "e-1") == b'data: {"seq":1}\nid: e-1\n\n'


def test_a_control_frame_is_named_and_leaves_the_last_id_alone() -> None:
    assert encode_control("heartbeat", b"{}") == b"event: heartbeat\ndata: {}\n\n"


def test_a_control_frame_may_carry_an_id_and_the_delay_before_a_retry() -> None:
    assert encode_control("welcome", b"{}", cursor="e-0", retry=1.5) == (
        b"event: welcome\ndata: {}\nid: e-0\nretry: 1500\n\n"
    )


@given(JSON)
def test_no_value_can_break_out_of_its_line(value: object) -> None:
    message = encode_event(encode_json({"value": value}), "e-1")
    assert message.count(b"\n") == 3
    assert b"\r" not in message
