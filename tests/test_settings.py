from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from agentprogress.errors import InvalidSettings
from agentprogress.settings import Settings

KIB, MIB, HOUR = 1024, 1024 * 1024, 3600

# Every number that the design gives, written out once more.
DESIGN = {
    "delivery_interval": 0.04,
    "max_batch_events": 256,
    "max_batch_bytes": 64 * KIB,
    "flush_timeout": 1,
    "close_flush_timeout": 5,
    "max_history_events": 1000,
    "max_history_bytes": MIB,
    "max_logs": 50,
    "max_steps": 500,
    "max_texts": 4,
    "max_text_chars": 8192,
    "max_artifacts": 100,
    "max_requests": 20,
    "max_custom": 20,
    "max_value_bytes": 4 * KIB,
    "max_string_chars": 500,
    "max_event_bytes": 64 * KIB,
    "max_field_bytes": 8 * KIB,
    "max_delta_chars": 4096,
    "max_repr_chars": 200,
    "max_result_bytes": 8 * MIB,
    "max_inline_result_bytes": 16 * KIB,
    "pending_ttl": 24 * HOUR,
    "history_ttl": 15 * 60,
    "result_ttl": 24 * HOUR,
    "tombstone_ttl": 24 * HOUR,
    "max_sweep": 1000,
    "max_sessions": 10_000,
    "max_store_bytes": 256 * MIB,
    "event_overhead_bytes": 256,
    "min_history_bytes": 64 * KIB,
    "max_tombstones": 100_000,
    "max_session_subscribers": 64,
    "max_subscribers": 20_000,
    "heartbeat_interval": 15,
    "pong_timeout": 10,
    "write_timeout": 10,
    "snapshot_write_timeout": 40,
    "close_timeout": 2,
    "max_connection_age": None,
    "stall_threshold": 1,
    "max_client_frame_bytes": 16 * KIB,
    "max_wait": 20,
    "min_retry_window": 0.2,
    "max_retry_window": 20,
    "max_reconnects_per_second": 1000,
    "max_drain_window": 10,
    "strict": False,
    "expose_errors": False,
    "silence_timeout": 10,
    "initial_retry_window": 1,
    "min_retry_delay": 0.1,
    "max_retry_delay": 20,
    "stable_timeout": 5,
    "short_stream_timeout": 1,
    "max_short_streams": 3,
    "unknown_timeout": 30,
    "max_message_bytes": 512 * KIB,
    "store_wait": 30,
    "lease_ttl": 30,
    "lost_after": 90,
    "live_ttl": 7 * 24 * 3600,
    "news_interval": 15,
    "max_outbox_events": 10_000,
    "max_outbox_bytes": 16 * MIB,
}
# The design gives no number for these.
OWN = {
    "max_log_bytes": 32 * KIB,
    "max_record_bytes": 156 * KIB,
    "max_id_chars": 128,
    "max_page_events": 1000,
    "max_listed_sessions": 100,
    "preflight_max_age": 600,
    "user_timeout": 30,
    "base_url": "/progress",
    "connect_timeout": 10,
    "control_timeout": 30,
    "max_retry_after": 900,
    "max_heartbeat_interval": 300,
    "transport_retry_interval": 900,
    "sleep_check_interval": 5,
    "max_buffered_events": 1000,
    "max_buffered_bytes": 4 * MIB,
    "replica_ttl": 10,
    "commit_interval": 0.002,
    "min_store_delay": 0.1,
    "max_store_delay": 2,
    "max_append_events": 1000,
    "max_append_bytes": MIB,
    "unbatched_deliveries_per_second": 1000,
}
FIELDS = dataclasses.fields(Settings)


def test_every_default_is_the_designs() -> None:
    assert dataclasses.asdict(Settings()) == DESIGN | OWN


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_a_settings_name_tells_its_unit_and_its_documentation_says_it(
    field: dataclasses.Field[Any],
) -> None:
    doc: str = field.metadata["doc"]
    assert doc
    if field.name.endswith("_bytes"):
        assert doc.endswith("(bytes)")
    if field.name.endswith(("_interval", "_timeout", "_ttl", "_window", "_age", "_threshold")):
        assert doc.endswith("(seconds)")


def test_the_token_of_the_command_line_is_no_mistake_in_the_environment() -> None:
    assert Settings.from_env({"AGENTPROGRESS_TOKEN": "secret"}) == Settings()


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("max_logs", 0, "max_logs must be at least 1, not 0."),
        ("max_logs", 1.5, "max_logs must be int, not 1.5."),
        ("max_logs", True, "max_logs must be int, not True."),
        ("max_logs", "5", "max_logs must be int, not '5'."),
        ("max_logs", None, "max_logs must be int, not None."),
        ("delivery_interval", 0, "delivery_interval must be greater than 0, not 0."),
        ("delivery_interval", float("nan"), "delivery_interval must be greater than 0, not nan."),
        ("pending_ttl", float("inf"), "pending_ttl must be finite."),
        ("heartbeat_interval", 0.5, "heartbeat_interval must be at least 1, not 0.5."),
        ("max_connection_age", -1, "max_connection_age must be at least 1, not -1."),
        ("strict", 1, "strict must be bool, not 1."),
        ("base_url", 5, "base_url must be str, not 5."),
        ("history_ttl", 10**6, "history_ttl (1000000) may not exceed result_ttl (86400.0)."),
        (
            "max_event_bytes",
            32 * KIB,
            "max_event_bytes (32768) must be at least 10 times max_delta_chars (4096).",
        ),
    ],
)
def test_a_bad_setting_is_refused_with_a_sentence(name: str, value: Any, sentence: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings(**{name: value})
    assert str(caught.value) == sentence


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().max_logs = 5  # type: ignore[misc]


def test_settings_come_from_the_environment() -> None:
    settings = Settings.from_env(
        {
            "AGENTPROGRESS_MAX_LOGS": "7",
            "AGENTPROGRESS_HEARTBEAT_INTERVAL": "2.5",
            "AGENTPROGRESS_STRICT": "Yes",
            "AGENTPROGRESS_BASE_URL": "/p",
            "AGENTPROGRESS_MAX_CONNECTION_AGE": "none",
            "PATH": "/bin",
        }
    )
    assert settings == Settings(max_logs=7, heartbeat_interval=2.5, strict=True, base_url="/p")


@pytest.mark.parametrize(
    ("variable", "text", "sentence"),
    [
        ("AGENTPROGRESS_MAX_LOG", "7", "AGENTPROGRESS_MAX_LOG names no setting."),
        ("AGENTPROGRESS_", "7", "AGENTPROGRESS_ names no setting."),
        ("AGENTPROGRESS_MAX_LOGS", "7.5", "AGENTPROGRESS_MAX_LOGS must be int, not '7.5'."),
        ("AGENTPROGRESS_STRICT", "maybe", "AGENTPROGRESS_STRICT must be bool, not 'maybe'."),
        ("AGENTPROGRESS_MAX_LOGS", "0", "max_logs must be at least 1, not 0."),
    ],
)
def test_a_bad_variable_is_refused_with_a_sentence(variable: str, text: str, sentence: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        Settings.from_env({variable: text})
    assert str(caught.value) == sentence


def test_the_process_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AGENTPROGRESS_MAX_LOGS", "7")
    assert Settings.from_env().max_logs == 7
