"""Writes the audit export of a period into a folder. Read only, from one snapshot.

    manifest.json                    what the export covers, and the SHA-256 of every other file
    keys.json, keys/<key id>.pem     every key that was ever registered
    <partner>/receipts.jsonl         its stream from the first entry on, so that its chain is whole
    <partner>/<window>.statement.json, .v<n>.statement.json, .lines.csv
    _log/leaf_hashes.txt             every leaf of the log up to the end, one a line, in its order
    _log/heads.json                  roots at which windows opened and closed, and the newest
    _log/records.jsonl               the records of the period, each with the salt of its leaf
    _log/orders.jsonl                what was ordered: id, digest, outcome
    _settlement/approvals.jsonl      operators' actions with the signatures under them
    _settlement/bank/                bank files as they came
    _settlement/invoices/            invoices and credit notes
    _settlement/entries.jsonl        all other entries: schemes, balances, locks and so on
    _settlement/disputes/            each dispute with its transfers' records, receipts and answers

A period is of business dates. Its part of the log runs from the opening of its first window to the
newest entry that is about its windows or months: the end of their settlement, an invoice, a lock.
Orders are there by their digests alone, since they name members; partners' ids have no underscore,
so no folder is in another's way.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from exchange.log.merkle import Frontier
from exchange.seal import LeafKind, PayloadKind
from exchange.signing import sign_entry
from exchange.wire.records import entry_body
from partners import envelope as dsse
from partners.envelope import SETTLEMENT_STATEMENT, to_json
from partners.key_files import public_key_pem
from partners.keys import Purpose
from partners.queries import load_queries
from partners.signers import Signers
from partners.store import load_keys, utc
from settlement import store, wire
from settlement.lines.store import line_file_of
from settlement.windows import WindowState

QUERIES = load_queries(Path(__file__).with_name("audit.sql"))
CHUNK = 2_000
"""Rows that are read at once."""


@dataclass(frozen=True, slots=True)
class _Window:
    number: int
    window_id: str
    currency: str
    business_date: date
    state: WindowState
    heads: tuple[tuple[int, bytes], ...]
    """Sizes and roots of the log at its opening, and at its close."""


@dataclass(frozen=True, slots=True)
class _Span:
    """What an export covers."""

    windows: tuple[_Window, ...]
    begin: int
    """First log index."""
    finish: int
    """First log index past the end."""

    @property
    def numbers(self) -> list[int]:
        return [each.number for each in self.windows]


def export_audit(
    engine: Engine, signers: Signers, audience: str, first: date, last: date, folder: Path
) -> tuple[Path, ...]:
    """Write the export into an empty folder; returns its files, the manifest last."""
    with engine.connect().execution_options(isolation_level="REPEATABLE READ") as snapshot:
        connection = snapshot.connection.dbapi_connection
        span = _span(connection, first, last)
        for write in (_keys, _heads, _log, _entries):
            write(connection, span, folder)
        _streams(connection, span, signers, folder)
        _statements(connection, span, signers, folder)
        _disputes(connection, span, signers, folder)
    paths = tuple(sorted(path for path in folder.rglob("*") if path.is_file()))
    manifest = {
        "audience": audience,
        "first_day": first.isoformat(),
        "last_day": last.isoformat(),
        "log": {"begin": span.begin, "end": span.finish},
        "windows": [each.window_id for each in span.windows],
        "files": [
            {
                "path": path.relative_to(folder).as_posix(),
                "size": path.stat().st_size,
                "sha256": _digest(path),
            }
            for path in paths
        ],
    }
    _write(folder / "manifest.json", manifest)
    return (*paths, folder / "manifest.json")


def _span(connection: Any, first: date, last: date) -> _Span:
    next_index, _ = QUERIES.head(connection)
    windows = tuple(
        _Window(
            number,
            window_id,
            currency,
            day,
            WindowState(state),
            tuple(
                (index, bytes(root))
                for index, root in ((begin, begin_root), (end, end_root))
                if index is not None
            ),
        )
        for number, window_id, currency, day, state, begin, begin_root, end, end_root in (
            QUERIES.windows(connection, first=first, last=last)
        )
    )
    if not windows:
        return _Span((), 0, 0)
    days = [first + timedelta(days=each) for each in range((last - first).days + 1)]
    newest = QUERIES.last_about(
        connection,
        window_numbers=[each.number for each in windows],
        months=sorted({each.strftime("%Y-%m") for each in days}),
        days=[each.isoformat() for each in days],
    )
    is_open = any(each.state is WindowState.OPEN for each in windows)
    closed = max(each.heads[-1][0] for each in windows)
    return _Span(
        windows,
        min(each.heads[0][0] for each in windows),
        next_index if is_open else max(closed, 1 + (newest or 0)),
    )


def _keys(connection: Any, _span: _Span, folder: Path) -> None:
    rows = []
    (folder / "keys").mkdir()
    for key_id, key in sorted(load_keys(connection).items()):
        pem = public_key_pem(key.public_key)
        (folder / "keys" / f"{key_id}.pem").write_bytes(pem)
        rows.append(
            {
                "key_id": key_id,
                "holder": key.holder,
                "purpose": key.purpose.value,
                "public_key_pem": pem.decode(),
                "registered_index": key.registered_index,
                "revoked_index": key.revoked_index,
            }
        )
    _write(folder / "keys.json", rows)


def _heads(connection: Any, span: _Span, folder: Path) -> None:
    next_index, frontier = QUERIES.head(connection)
    heads = {size: root for each in span.windows for size, root in each.heads}
    heads[next_index] = Frontier.from_bytes(bytes(frontier)).root()
    (folder / "_log").mkdir()
    _write(
        folder / "_log" / "heads.json",
        [{"size": size, "root": root.hex()} for size, root in sorted(heads.items())],
    )


def _log(connection: Any, span: _Span, folder: Path) -> None:
    home = folder / "_log"
    with (
        (home / "leaf_hashes.txt").open("w", encoding="ascii") as hashes,
        (home / "records.jsonl").open("w", encoding="utf-8") as records,
        (home / "orders.jsonl").open("w", encoding="utf-8") as orders,
    ):
        for row in _records(connection, span.finish):
            index, kind, recorded_at, transfer_id, entry_key, salt, record, leaf_hash = row
            hashes.write(bytes(leaf_hash).hex() + "\n")
            if index < span.begin:
                continue
            about = {
                "log_index": index,
                "kind": LeafKind(kind).name,
                "recorded_at": utc(recorded_at).isoformat(),
                "transfer_id": transfer_id and str(transfer_id),
                "entry_key": entry_key,
            }
            _line(records, {**about, "salt": _text(salt), "record": _text(record)})
            if kind != LeafKind.ENTRY:
                digest, outcome = wire.recorded_order(bytes(record), kind)
                order = {name: about[name] for name in ("log_index", "kind", "transfer_id")}
                _line(orders, {**order, "order_sha256": digest.hex(), "outcome": outcome})


def _records(connection: Any, finish: int) -> Iterator[Any]:
    after = -1
    while rows := list(QUERIES.records(connection, after=after, finish=finish, rows_max=CHUNK)):
        yield from rows
        after = rows[-1][0]


def _entries(connection: Any, span: _Span, folder: Path) -> None:
    home = folder / "_settlement"
    (home / "bank").mkdir(parents=True)
    (home / "invoices").mkdir()
    with (
        (home / "approvals.jsonl").open("w", encoding="utf-8") as approvals,
        (home / "entries.jsonl").open("w", encoding="utf-8") as others,
    ):
        for index, recorded_at, key, record in QUERIES.entries(
            connection, begin=span.begin, finish=span.finish
        ):
            body, kind = entry_body(bytes(record)), key.partition("/")[0]
            about = {"log_index": index, "recorded_at": utc(recorded_at).isoformat(), "key": key}
            name = key.partition("/")[2].replace("/", "-")
            if kind == "bank":
                (home / "bank" / f"{index}-{name}").write_bytes(body)
            elif kind == "invoice":
                (home / "invoices" / f"{name}.json").write_bytes(body + b"\n")
            elif kind == "action":
                _line(approvals, {**about, "envelope": json.loads(body)})
            else:
                _line(others, {**about, "body": _text(body)})


def _streams(connection: Any, span: _Span, signers: Signers, folder: Path) -> None:
    for number, partner_id in QUERIES.partners(connection):
        (folder / partner_id).mkdir()
        after = 0
        with (folder / partner_id / "receipts.jsonl").open("w", encoding="ascii") as file:
            while rows := list(
                QUERIES.stream(
                    connection,
                    partner_number=number,
                    after=after,
                    finish=span.finish,
                    rows_max=CHUNK,
                )
            ):
                for _, kind, payload in rows:
                    signed = sign_entry(signers, PayloadKind(kind), bytes(payload))
                    file.write(to_json(signed) + "\n")
                after = rows[-1][0]


def _statements(connection: Any, span: _Span, signers: Signers, folder: Path) -> None:
    for window in span.windows:
        if not window.state.is_stated:
            continue
        for partner in store.partners_of(
            connection, store.window_named(connection, window.window_id)
        ):
            name, home = partner.partner_id, folder / partner.partner_id
            newest = store.statement_of(connection, window.window_id, name)
            for version in range(1, newest.version + 1 if newest else 1):
                payload = store.statement_payload(connection, window.window_id, name, version)
                assert payload is not None, "versions have no gap"
                key_id = wire.parse_statement(payload).signing_key_id
                signer = signers.named(Purpose.STATEMENTS, key_id)
                signed = dsse.sign(signer, SETTLEMENT_STATEMENT, payload)
                later = f".v{version}" if version > 1 else ""
                path = home / f"{window.window_id}{later}.statement.json"
                path.write_text(to_json(signed) + "\n", encoding="ascii")
            lines = line_file_of(connection, window.window_id, name)
            if lines is not None:
                with (home / f"{window.window_id}.lines.csv").open("wb") as file:
                    file.writelines(lines.parts(connection))


def _disputes(connection: Any, span: _Span, signers: Signers, folder: Path) -> None:
    home = folder / "_settlement" / "disputes"
    home.mkdir()
    for index, subject, record in QUERIES.withholdings(
        connection, begin=span.begin, finish=span.finish, window_numbers=span.numbers
    ):
        lines = [row[0] for row in QUERIES.disputed_lines(connection, log_index=index)]
        document = {
            "subject": subject,
            "log_index": index,
            "body": _text(entry_body(bytes(record))),
            "lines": [_evidence(connection, each, signers) for each in lines],
        }
        _write(home / f"{subject.replace('/', '-')}.json", document)


def _evidence(connection: Any, line_id: str, signers: Signers) -> dict[str, Any]:
    """Records of a disputed transfer or reversal, its parties' receipts, its brands' answers."""
    return {
        "line_id": line_id,
        "records": [
            {"log_index": index, "kind": LeafKind(kind).name, "record": _text(record)}
            for index, kind, record in QUERIES.records_of(connection, transfer_id=line_id)
        ],
        "receipts": [
            {
                "partner_id": partner_id,
                "stream_seq": seq,
                "envelope": json.loads(
                    to_json(sign_entry(signers, PayloadKind(kind), bytes(payload)))
                ),
            }
            for partner_id, seq, kind, payload in QUERIES.papers_of(connection, transfer_id=line_id)
        ],
        "answers": [_answer(row) for row in QUERIES.answers_of(connection, transfer_id=line_id)],
    }


def _answer(row: Any) -> dict[str, Any]:
    kind, sha256, answered_at, outcome, points, media_type, content, key_id, signature = row
    return {
        "kind": kind,
        "sha256": bytes(sha256).hex(),
        "answered_at": utc(answered_at).isoformat(),
        "outcome": outcome,
        "points": points,
        "media_type": media_type,
        "content": _text(content),
        "key_id": key_id,
        "signature": _text(signature),
    }


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _text(content: Any) -> str:
    return base64.b64encode(bytes(content)).decode()


def _line(file: Any, document: dict[str, Any]) -> None:
    file.write(json.dumps(document, ensure_ascii=False, sort_keys=True) + "\n")


def _write(path: Path, document: Any) -> None:
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    path.write_text(text, encoding="utf-8")
