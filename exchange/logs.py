"""Structured logs on standard error: one event a line, JSON for machines or key=value for people.

What is kept out, whoever logs:

- Passwords, in connection URLs and in libpq's `password=...`: masked in every text.
- Member references and payloads: nobody logs them, and an exception is told by its type and the
  lines it passed, without the text that it carries, since that may quote what a caller sent. Our
  own errors keep their text, which never holds a reference; the database's keep their code and
  constraint, and what they say of a connection.

Modules log through the standard library or a structlog logger; both leave by the same way.
"""

import logging
import re
import sys
import traceback
from collections.abc import MutableMapping
from types import TracebackType
from typing import IO, Any, Literal

import psycopg2
import structlog

from exchange.calls import CANCELLED, Call
from partners.errors import PointclearError

Event = MutableMapping[str, Any]
LogFormat = Literal["auto", "json", "text"]
Logger = structlog.stdlib.BoundLogger

_PASSWORD_IN_URL = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)[^\s@]*@", re.IGNORECASE)
_PASSWORD_WORD = re.compile(r"(\b(?:password|passphrase|passwd)\s*[=:]\s*)('[^']*'|\S+)", re.I)
_QUIET = ("uvicorn", "asyncio")
"""Libraries whose news are of no interest to an operator; their warnings are."""
_CAUSES_MAX = 5


def start_logging(form: LogFormat, level: str, stream: IO[str]) -> Logger:
    """Send all logs of this process to `stream`; returns the logger of the server's own events.

    `auto` is text on a terminal and JSON elsewhere.
    """
    as_json = form == "json" or (form == "auto" and not stream.isatty())
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        tell_exception,
        mask_secrets,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=stream.isatty())
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    logger: Logger = structlog.wrap_logger(
        logging.getLogger("pointclear"),
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    return logger


def log_call(log: Logger, call: Call) -> None:
    """One line for a call that was not answered with what it asked for."""
    facts: dict[str, object] = {
        "method": call.method,
        "caller": call.caller,
        "code": call.code,
        "duration_ms": round(call.seconds * 1000, 1),
    }
    if call.transfer_id:
        facts["transfer_id"] = call.transfer_id
    if call.incident:
        log.error("call failed", incident=call.incident, exc_info=call.bug, **facts)
    elif call.code == CANCELLED:
        log.info("call cancelled", **facts)
    elif call.reason == "TRY_LATER":
        log.warning("call refused", reason=call.reason, text=call.text, **facts)
    elif call.code != "OK":
        log.info("call refused", reason=call.reason, text=call.text, **facts)
    elif call.refused:
        log.info("orders refused", reasons=dict(call.refused), **facts)


def tell_exception(_logger: object, _name: str, event: Event) -> Event:
    """Replace the exception of an event by what may be told of it."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["exception"] = "\n".join(told(error))
    return event


def told(error: BaseException) -> list[str]:
    """An exception, and what caused it, by types and lines passed."""
    lines: list[str] = []
    current: BaseException | None = error
    for _cause in range(_CAUSES_MAX):
        if current is None:
            break
        lines += [*_frames(current.__traceback__), named(current)]
        current = current.__cause__ or (
            None if current.__suppress_context__ else current.__context__
        )
    return lines


def named(error: BaseException) -> str:
    """An exception in one line, without text that may quote a caller."""
    kind = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    if isinstance(error, PointclearError):
        return f"{kind}: {error}"
    if isinstance(error, psycopg2.OperationalError) and not error.pgcode:
        return f"{kind}: {next(iter(str(error).splitlines()), '')}"
    if isinstance(error, psycopg2.Error):
        facts = (error.pgcode, error.diag.table_name, error.diag.constraint_name)
        return " ".join([f"{kind}:", *(str(each) for each in facts if each)])
    if isinstance(error, OSError) and error.strerror:
        return f"{kind}: {error.strerror}"
    return kind


def _frames(trace: TracebackType | None) -> list[str]:
    return [
        f"  {frame.filename}:{frame.lineno} in {frame.name}"
        for frame in traceback.extract_tb(trace)
    ]


def mask_secrets(_logger: object, _name: str, event: Event) -> Event:
    """Mask passwords in every text of an event."""
    for key, value in event.items():
        if isinstance(value, str):
            event[key] = masked(value)
    return event


def masked(text: str) -> str:
    """A text without passwords."""
    return _PASSWORD_WORD.sub(r"\1***", _PASSWORD_IN_URL.sub(r"\1***@", text))
