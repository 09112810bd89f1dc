"""What the pages show is run: `openssl` and a shell verify a receipt and a statement by themselves.

A block counts if the line before it is `<!-- test: openssl -->`. A page's blocks are run as one
script, in a folder where `demo-out` is an archive made here with real keys.
"""

import json
import re
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Callable
from pathlib import Path

import pytest

from partners.envelope import TRANSFER_ORDER, from_json, sign, to_json
from partners.key_files import public_key_pem
from partners.keys import Purpose
from pointclear.exchange.v1.transfer_pb2 import TransferOrder
from tests.archives import AUDIENCE, KEYS, SIGNERS, week

ROOT = Path(__file__).parents[2]
LABEL = re.compile(r"<!-- test: openssl -->\n+```sh\n(.*?)```", re.DOTALL)
PAGES = ("docs/verify.md", "README.md")
RECEIPTS, STATEMENT = "demo-out/grocery/receipts.jsonl", "demo-out/grocery/w1.statement.json"
LINES = "demo-out/grocery/w1.lines.csv"

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None or shutil.which("sh") is None,
    reason="openssl or a POSIX shell is missing",
)


def script_of(page: str) -> str:
    """All labelled blocks of a page, one after the other."""
    return "\n".join(LABEL.findall((ROOT / page).read_text()))


def first_block() -> str:
    """The function that the page begins with, without its examples."""
    return script_of("docs/verify.md").partition("\n\n")[0]


def run(script: str, home: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder; its first failing command ends it."""
    return subprocess.run(
        ["sh", "-eu", "-c", script], cwd=home, capture_output=True, text=True, check=False
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with `demo-out` in it, as the demo leaves it."""
    archive = week(1)
    keys, own = tmp_path / "demo-out/keys", tmp_path / "demo-out/grocery"
    keys.mkdir(parents=True)
    own.mkdir()
    for key_id, key in KEYS.items():
        (keys / f"{key_id}.pem").write_bytes(public_key_pem(key.verify_key.public_key))
    (own / "receipts.jsonl").write_text("".join(f"{text}\n" for text in archive.grocery.stream))
    (window,) = archive.grocery.statements
    (own / "w1.statement.json").write_text(archive.grocery.statements[window])
    (own / "w1.lines.csv").write_bytes(archive.grocery.line_files[window])
    return tmp_path


def pages_with_blocks() -> list[str]:
    """The pages that show how: the README may."""
    return [page for page in PAGES if script_of(page)]


def in_payload(line: str) -> str:
    """An envelope with one bit of its payload changed."""
    document = json.loads(line)
    payload = bytearray(b64decode(document["payload"]))
    payload[len(payload) // 2] ^= 1
    return _compact(document | {"payload": b64encode(payload).decode()})


def in_signature(line: str) -> str:
    """An envelope with one bit of its signature changed."""
    document = json.loads(line)
    (signature,) = document["signatures"]
    changed = bytearray(b64decode(signature["sig"]))
    changed[40] ^= 1
    signature["sig"] = b64encode(changed).decode()
    return _compact(document)


def in_type(line: str) -> str:
    """An envelope that claims to be something else."""
    document = json.loads(line)
    return _compact(document | {"payloadType": document["payloadType"].replace("v1", "v2")})


def _compact(document: object) -> str:
    return json.dumps(document, separators=(",", ":"))


def test_the_page_shows_how() -> None:
    assert "docs/verify.md" in pages_with_blocks()


@needs_openssl
@pytest.mark.parametrize("page", pages_with_blocks())
def test_t11_openssl_verifies_a_receipt_and_a_statement_as_the_page_shows(
    page: str, home: Path
) -> None:
    result = run(script_of(page), home)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("Signature Verified Successfully") >= 2
    assert "vnd.pointclear.transfer-receipt.v1+protobuf by key" in result.stdout
    assert "vnd.pointclear.settlement-statement.v1+protobuf by key" in result.stdout


@needs_openssl
@pytest.mark.parametrize("page", pages_with_blocks())
@pytest.mark.parametrize("file", [RECEIPTS, STATEMENT])
@pytest.mark.parametrize("change", [in_payload, in_signature, in_type])
def test_t11_one_changed_byte_fails_as_the_page_shows(
    page: str, file: str, change: Callable[[str], str], home: Path
) -> None:
    first, *others = (home / file).read_text().split("\n")
    (home / file).write_text("\n".join((change(first), *others)))
    result = run(script_of(page), home)
    assert result.returncode != 0
    assert "Signature Verification Failure" in result.stdout


@needs_openssl
def test_t25_another_line_file_fails_as_the_page_shows(home: Path) -> None:
    (home / LINES).write_bytes((home / LINES).read_bytes().replace(b"380", b"381"))
    result = run(script_of("docs/verify.md"), home)
    assert result.returncode != 0
    assert "the payload holds" not in result.stdout


@needs_openssl
def test_t10_an_omitted_receipt_fails_as_the_page_shows(home: Path) -> None:
    first, _, *others = (home / RECEIPTS).read_text().split("\n")
    (home / RECEIPTS).write_text("\n".join((first, *others)))
    result = run(script_of("docs/verify.md"), home)
    assert result.returncode != 0
    assert result.stdout.count("the payload holds") == 1


@needs_openssl
def test_t11_openssl_convicts_a_partner_that_denies_its_largest_order(home: Path) -> None:
    signer = SIGNERS[Purpose.ORDERS]
    order = TransferOrder(audience=AUDIENCE, partner_id="grocery", source_member="m" * 3800)
    text = to_json(sign(signer, TRANSFER_ORDER, order.SerializeToString()))
    assert len(from_json(text).payload) > 3800
    call = f"{first_block()}\nverify_envelope order.json demo-out/keys"
    (home / "order.json").write_text(text)
    assert run(call, home).returncode == 0
    (home / "order.json").write_text(in_payload(text))
    assert run(call, home).returncode != 0
