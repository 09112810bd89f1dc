"""What each brand keeps and anyone can verify: its stream of receipts, its statements, and the
exchange's public keys.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from exchange.cli.connection import Connection, connect
from exchange.cli.files import make_directory, write_output
from exchange.cli.output import json_text
from exchange.cli.profile import load_profile
from partners.envelope import to_json
from partners.key_files import public_key_pem
from partners.keys import Purpose, VerifyKey
from partners.wire import envelope_from_proto, purpose_from_proto
from pointclear.exchange.v1 import exchange_service_pb2
from pointclear.settlement.v1 import settlement_service_pb2

PAGE = 500


def write_archive(
    profiles: Sequence[Path], window_ids: Sequence[str], out: Path, step: Callable[[str], None]
) -> None:
    """Fetch everything as each brand would, and write it in the layout that `pointclear verify`
    reads.
    """
    for directory in profiles:
        with connect(load_profile(directory)) as own:
            folder = out / own.profile.caller.name
            make_directory(folder, 0o755)
            write_output(folder / "receipts.jsonl", fetch_stream(own))
            for window_id in window_ids:
                statement, lines = fetch_statement(own, window_id)
                write_output(folder / f"{window_id}.statement.json", statement)
                write_output(folder / f"{window_id}.lines.csv", lines)
                step(f"{own.profile.caller.name} {window_id}")
    with connect(load_profile(profiles[0])) as any_brand:
        write_keys(any_brand, out)


def fetch_stream(own: Connection) -> bytes:
    """A brand's whole stream, one envelope a line."""
    lines: list[str] = []
    last = -1
    while len(lines) != last:
        request = exchange_service_pb2.ListReceiptsRequest(
            after_stream_seq=len(lines), page_size=PAGE
        )
        page: exchange_service_pb2.ListReceiptsResponse = own.call(
            own.exchange.ListReceipts, request
        )
        lines += [to_json(envelope_from_proto(entry.envelope)) for entry in page.entries]
        last = page.last_stream_seq
    return "".join(line + "\n" for line in lines).encode()


def fetch_statement(own: Connection, window_id: str) -> tuple[bytes, bytes]:
    """A brand's signed statement of a window, and its line file."""
    request = settlement_service_pb2.GetStatementRequest(window_id=window_id)
    response: settlement_service_pb2.GetStatementResponse = own.call(
        own.settlement.GetStatement, request
    )
    wanted = settlement_service_pb2.DownloadLineFileRequest(window_id=window_id)
    chunks = own.stream(own.settlement.DownloadLineFile, wanted)
    statement = to_json(envelope_from_proto(response.statement)) + "\n"
    return statement.encode(), b"".join(each.chunk for each in chunks)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key under which papers verify."""

    key: VerifyKey
    holder: str
    purpose: Purpose


def write_keys(own: Connection, out: Path) -> None:
    """The exchange's public keys, as `key_files` gives them."""
    keys = [
        PublicKey(
            VerifyKey.of(key.public_key), key.holder, purpose_from_proto(key.purpose, "purpose")
        )
        for key in own.keys("exchange")
    ]
    for name, content in key_files(keys).items():
        write_output(out / name, content)


def key_files(keys: Iterable[PublicKey]) -> dict[str, bytes]:
    """By path: a list for programs, and one PEM file each for `openssl`."""
    files, rows = {}, []
    for each in keys:
        key_id, pem = each.key.key_id, public_key_pem(each.key.public_key)
        files[f"keys/{key_id}.pem"] = pem
        rows.append(
            {
                "key_id": key_id,
                "holder": each.holder,
                "purpose": each.purpose.value,
                "public_key_pem": pem.decode(),
            }
        )
    return {**files, "keys.json": json_text(rows)}
