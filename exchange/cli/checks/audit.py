"""What an audit export proves by itself, beside its partners' folders. Pure but for reading files
one after the other.

- Every file is the one that `manifest.json` names by its digest, and there is none besides.
- The leaf hashes, as many as there are, lead to each root in `_log/heads.json`: RFC 6962.
- Each record, with its salt, is the leaf that stands at its index.
"""

import base64
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from exchange.cli.checks.verification import Fault, compare
from exchange.log.merkle import Frontier, leaf_data
from exchange.seal import LeafKind
from partners.merkle import leaf_hash

MANIFEST = "manifest.json"
HEADS, HASHES, RECORDS = "_log/heads.json", "_log/leaf_hashes.txt", "_log/records.jsonl"


def check_audit(folder: Path, counts: dict[str, int]) -> Iterator[Fault]:
    """Every fault of an export; adds to `counts` how many things held by themselves."""
    place = f"{folder / MANIFEST}"
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        named = {each["path"]: each["sha256"] for each in manifest["files"]}
        yield from _check_files(folder, named, counts)
        yield from _check_log(folder, counts)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        yield Fault(place, f"is no manifest of an export that can be read ({error!r})")


def _check_files(folder: Path, named: Mapping[str, str], counts: dict[str, int]) -> Iterator[Fault]:
    found = {
        path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()
    }
    found.pop(MANIFEST, None)
    for name in sorted(named.keys() - found.keys()):
        yield Fault(f"{folder / name}", "is in the manifest and not in the folder")
    for name in sorted(found.keys() - named.keys()):
        yield Fault(f"{folder / name}", "is not in the manifest")
    for name in sorted(named.keys() & found.keys()):
        with found[name].open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        faults = list(compare(str(found[name]), "SHA-256", named[name], digest))
        counts["files"] = counts.get("files", 0) + (not faults)
        yield from faults


def _check_log(folder: Path, counts: dict[str, int]) -> Iterator[Fault]:
    heads = {each["size"]: each["root"] for each in json.loads((folder / HEADS).read_bytes())}
    hashes = [bytes.fromhex(line) for line in (folder / HASHES).read_text().split()]
    frontier = Frontier()
    for size in sorted(size for size in heads if size <= len(hashes)):
        frontier = frontier.extend(hashes[frontier.size : size])
        faults = list(
            compare(f"{folder / HEADS}", f"root of {size}", heads[size], frontier.root().hex())
        )
        counts["tree heads"] = counts.get("tree heads", 0) + (not faults)
        yield from faults
    with (folder / RECORDS).open("rb") as file:
        for number, line in enumerate(file, 1):
            place = f"{folder / RECORDS}:{number}"
            try:
                faults = list(_check_record(place, line, hashes))
            except (ValueError, KeyError, IndexError, TypeError) as error:
                faults = [Fault(place, f"is no record that can be read ({error!r})")]
            counts["leaves"] = counts.get("leaves", 0) + (not faults)
            yield from faults


def _check_record(place: str, line: bytes, hashes: Sequence[bytes]) -> Iterator[Fault]:
    row = json.loads(line)
    salt = base64.b64decode(row["salt"], validate=True)
    record = base64.b64decode(row["record"], validate=True)
    leaf = leaf_hash(leaf_data(LeafKind[row["kind"]], salt, record))
    yield from compare(place, "leaf", hashes[row["log_index"]], leaf)
