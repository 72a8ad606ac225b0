"""Addresses as they are given, and what of them a report shows."""

from __future__ import annotations

import pytest

from agentprogress.cli._addresses import discreet, session_url, shown_address

ID = "s_Ab3dW0rdZ5kYN9ZwS0QmLpX7Tc8v"


def test_the_addresses_that_are_printed_are_the_sessions() -> None:
    url = "https://host/progress/sessions/s_1"
    for route in ("", "/view", "/events", "/result", "/ws/"):
        assert session_url(url + route) == url
    assert session_url(f"{url}/view?a=b#c") == f"{url}?a=b#c"
    assert session_url("http://host/view") == "http://host/view"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        (
            f"https://h.example/p/sessions/{ID}/ws?key=1#top",
            "https://h.example/p/sessions/s_Ab3d…/ws",
        ),
        ("http://ann:secret@h.example:81/login?next=/x", "http://h.example:81/login"),
        (f"/sessions/{ID}", "/sessions/s_Ab3d…"),
        (f"/login/%2Fsessions%2F{ID}", "/login/%2Fsessions%2Fs_Ab3d…"),
        ("/p/sessions/a-long-id-of-an-application", "/p/sessions/a-long…"),
        ("/p/sessions/job-7", "/p/sessions/job-7"),
        ("http://[broken", "an address that cannot be read"),
    ],
)
def test_an_address_is_shown_without_what_lets_somebody_in(address: str, shown: str) -> None:
    assert shown_address(address) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"There is no session '{ID}'.", "There is no session 's_Ab3d…'."),
        ("See https://h.example/a?key=1, or /b?key=2.", "See https://h.example/a, or /b?…"),
        ("Is it /sessions/a-long-id-of-an-application?", "Is it /sessions/a-long…?"),
        ("max-age=0, private; progress_subscribers", "max-age=0, private; progress_subscribers"),
    ],
)
def test_what_others_say_is_shown_by_the_same_rule(text: str, shown: str) -> None:
    assert discreet(text) == shown
