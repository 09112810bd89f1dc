"""Logs: one event a line, and never a password, a member reference or what an exception quotes."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest

from exchange.calls import Call
from exchange.errors import CannotStart
from exchange.logs import Logger, log_call, masked, named, start_logging

URL = "postgresql://service:secret-word@db.example/pointclear"
CANARY = "member-canary-7351"


class Stream(io.StringIO):
    """What was logged."""

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.getvalue().splitlines()]


@pytest.fixture
def stream() -> Iterator[Stream]:
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    yield Stream()
    root.handlers[:] = before
    root.setLevel(level)


@pytest.fixture
def log(stream: Stream) -> Logger:
    return start_logging("json", "info", stream)


def fails() -> None:
    try:
        raise ValueError(f"no order for {CANARY}")
    except ValueError as error:
        raise RuntimeError(f"cannot connect to {URL}") from error


def test_an_exception_is_told_by_types_and_lines_without_what_it_quotes(
    log: Logger, stream: Stream
) -> None:
    for told in (log, logging.getLogger("elsewhere")):
        try:
            fails()
        except RuntimeError as error:
            told.error("it broke", exc_info=error)
    assert len(stream.events) == 2
    for event in stream.events:
        assert event["event"] == "it broke"
        assert "RuntimeError" in event["exception"]
        assert "ValueError" in event["exception"]
        assert "in fails" in event["exception"]
    assert "secret-word" not in stream.getvalue()
    assert CANARY not in stream.getvalue()


def test_passwords_are_masked_in_every_text(log: Logger, stream: Stream) -> None:
    log.info("connecting", url=URL)
    logging.getLogger("elsewhere").warning("%s", f"dsn: host=h password='secret word' to {URL}")
    first, second = stream.events
    assert first["url"] == "postgresql://service:***@db.example/pointclear"
    assert "secret" not in second["event"]
    assert masked("password=secret-word, host=h").count("secret") == 0


def test_our_own_errors_keep_their_text_and_the_databases_their_code() -> None:
    assert named(CannotStart("a", "b")) == "exchange.errors.CannotStart: a: b"
    assert CANARY not in named(psycopg2.DataError(CANARY))
    lost = psycopg2.OperationalError("connection to server failed\nmore")
    assert named(lost).endswith("connection to server failed")
    assert named(FileNotFoundError(2, "No such file")) == "FileNotFoundError: No such file"


def test_on_a_terminal_events_are_text(stream: Stream) -> None:
    start_logging("text", "info", stream).info("started", address="here")
    assert "started" in stream.getvalue()
    assert "address=here" in stream.getvalue()


def test_events_below_the_level_are_left_out(stream: Stream) -> None:
    log = start_logging("auto", "warning", stream)
    log.info("small")
    logging.getLogger("elsewhere").info("small")
    log.warning("great")
    assert [each["event"] for each in stream.events] == ["great"]


def call(**facts: Any) -> Call:
    whole: dict[str, Any] = {
        "method": "ExchangeService/CreateTransfer",
        "caller": "partner/a",
        "transfer_id": "0199",
        "code": "OK",
        "reason": "",
        "text": "",
        "seconds": 0.0123,
    }
    return Call(**whole | facts)


def test_a_call_is_logged_when_it_was_not_answered_as_asked(log: Logger, stream: Stream) -> None:
    log_call(log, call())
    log_call(log, call(code="FAILED_PRECONDITION", reason="LIMIT_EXCEEDED", text="too much"))
    log_call(log, call(code="UNAVAILABLE", reason="TRY_LATER"))
    log_call(log, call(code="INTERNAL", incident="abcd"))
    log_call(log, call(code="CANCELLED"))
    log_call(log, call(refused={"LIMIT_EXCEEDED": 2}))
    assert [(each["event"], each["level"]) for each in stream.events] == [
        ("call refused", "info"),
        ("call refused", "warning"),
        ("call failed", "error"),
        ("call cancelled", "info"),
        ("orders refused", "info"),
    ]
    first = stream.events[0]
    del first["timestamp"]
    assert first == {
        "event": "call refused",
        "level": "info",
        "method": "ExchangeService/CreateTransfer",
        "caller": "partner/a",
        "transfer_id": "0199",
        "code": "FAILED_PRECONDITION",
        "reason": "LIMIT_EXCEEDED",
        "text": "too much",
        "duration_ms": 12.3,
    }
    assert stream.events[2]["incident"] == "abcd"
    assert stream.events[4]["reasons"] == {"LIMIT_EXCEEDED": 2}


def test_the_stream_that_is_given_is_the_only_one_written(
    log: Logger, stream: Stream, capsys: pytest.CaptureFixture[str]
) -> None:
    log.error("it broke")
    sys.stdout.flush()
    assert capsys.readouterr() == ("", "")
