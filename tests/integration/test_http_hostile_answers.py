"""Whatever bytes come back over HTTPS, they are no answer, and nothing else breaks."""

import asyncio
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import pytest

from adapters.http_program import Endpoint
from partners.program_port import Credit, Fault, InstructionKind, ProgramUnavailable
from tests.http_brand import MEMBER, PROGRAM, HttpBrand, new_brand
from tests.processes import folder

CREDIT = Credit(UUID(int=7), PROGRAM, MEMBER, 100, bytes(32), committed=True)
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
COVERS = '("@status" "content-digest" "signature";req;key="pointclear")'
DIGEST = b"Content-Digest: sha-256=:RBNvo1WzZ4oRRq0W9+hknpT7T8If536DEMBg9hyq/4o=:\r\n"


def signed(parameters: str, signature: bytes = b":AAAA:", label: str = "a") -> bytes:
    """A response with these signature fields, and `{}`."""
    fields = f"Signature-Input: {label}={COVERS};{parameters}\r\n".encode()
    return OK + DIGEST + fields + b"Signature: a=" + signature + b"\r\n\r\n{}"


NOW = int(datetime.now(UTC).timestamp())
HOSTILE = {
    "nothing": b"",
    "no HTTP": b"\x15\x03\x01\x00\x02\x02\x50",
    "another protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "half a status line": b"HTTP/1.1 20",
    "a status that is no number": b"HTTP/1.1 OK OK\r\n\r\n",
    "a status beyond all": b"HTTP/1.1 999 OK\r\nContent-Length: 0\r\n\r\n",
    "a field without a colon": b"HTTP/1.1 200 OK\r\nContent-Type\r\n\r\n",
    "a field with a NUL": b"HTTP/1.1 200 OK\r\nContent-Type: a\x00b\r\n\r\n",
    "bytes that are no text": OK + b"Signature: \xff\xfe\r\nSignature-Input: \xc3\x28\r\n\r\n{}",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}",
    "two lengths": OK + b"Content-Length: 3\r\n\r\n{}",
    "a length beyond all": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
    "an odd encoding": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n{}",
    "compressed": OK + b"Content-Encoding: gzip\r\n\r\n{}",
    "endless fields": b"HTTP/1.1 200 OK\r\n" + b"X-Field: x\r\n" * 100_000,
    "one endless field": b"HTTP/1.1 200 OK\r\nX-Field: " + b"x" * 1_000_000,
    "a switch of protocols": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n",
    "only hints": b"HTTP/1.1 103 Early Hints\r\n\r\n" * 100,
    "a redirect to a file": b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\n\r\n",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: https://[\r\n\r\n",
    "an odd cookie": b"HTTP/1.1 200 OK\r\nSet-Cookie: \x22;;=\x22\r\nContent-Length: 0\r\n\r\n",
    "not signed": OK + DIGEST + b"\r\n{}",
    "no digest": OK + b'Signature-Input: a=("@status")\r\nSignature: a=:AAAA:\r\n\r\n{}',
    "no structure": OK + b"Signature-Input: ((((\r\nSignature: ))))\r\n\r\n{}",
    "labels that differ": signed("created=1", label="b"),
    "no creation": signed('keyid="k";tag="pointclear"'),
    "a creation that is text": signed('created="now";keyid="k";tag="pointclear"'),
    "a creation beyond all": signed('created=999999999999999;keyid="k";tag="pointclear"'),
    "created long ago": signed('created=1;keyid="k";tag="pointclear"'),
    "no key": signed(f'created={NOW};tag="pointclear"'),
    "another algorithm": signed(f'created={NOW};keyid="k";alg="hmac-sha256";tag="pointclear"'),
    "an unknown parameter": signed(f'created={NOW};keyid="k";tag="pointclear";member="anna"'),
    "an unknown key": signed(f'created={NOW};keyid="k";tag="pointclear"'),
    "a signature that is no bytes": signed(f'created={NOW};keyid="k";tag="pointclear"', b"1"),
    "an empty signature": signed(f'created={NOW};keyid="k";tag="pointclear"', b"::"),
    "a key of another script": OK + 'Signature-Input: a=("clé")\r\n'.encode() + b"\r\n{}",
}


@pytest.fixture(scope="module")
def brand() -> Iterator[HttpBrand]:
    with folder() as path:
        yield new_brand(path)


async def answered(brand: HttpBrand, raw: bytes, *, hang_up: bool = True) -> ProgramUnavailable:
    """What comes of a call that is answered with these bytes."""

    async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(raw)
            await writer.drain()
            if not hang_up:
                await reader.read()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(brand.folder / "serving-tls.pem", brand.folder / "serving-tls-key.pem")
    server = await asyncio.start_server(respond, "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        endpoint = Endpoint(f"https://127.0.0.1:{port}", brand.folder / "ca.pem")
        async with brand.program(timeout_s=5 if hang_up else 0.2, endpoint=endpoint) as program:
            with pytest.raises(ProgramUnavailable) as caught:
                await program.credit(CREDIT)
            with pytest.raises(ProgramUnavailable):
                await program.look_up(CREDIT.instruction_id, InstructionKind.CREDIT)
            with pytest.raises(ProgramUnavailable):
                await program.balance(MEMBER)
    return caught.value


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
def test_no_bytes_are_an_answer_by_accident(brand: HttpBrand, raw: bytes) -> None:
    found = asyncio.run(answered(brand, raw))
    assert found.fault.called
    assert "anna" not in str(found)


@pytest.mark.parametrize("raw", [b"", OK, b"HTTP/1.1 103 Early Hints\r\n\r\n" * 3])
def test_an_answer_that_never_ends_is_late(brand: HttpBrand, raw: bytes) -> None:
    assert asyncio.run(answered(brand, raw, hang_up=False)).fault is Fault.LATE


def test_a_server_that_speaks_no_tls_is_out_of_reach(brand: HttpBrand, tmp_path: Path) -> None:
    async def plain() -> Fault:
        async def respond(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(OK + b"\r\n{}")
            writer.close()

        server = await asyncio.start_server(respond, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            endpoint = Endpoint(f"https://127.0.0.1:{port}", brand.folder / "ca.pem")
            async with brand.program(endpoint=endpoint) as program:
                with pytest.raises(ProgramUnavailable) as caught:
                    await program.credit(CREDIT)
        return caught.value.fault

    assert asyncio.run(plain()) is Fault.UNREACHABLE


def test_no_proxy_that_the_environment_names_is_asked(
    brand: HttpBrand, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    found = asyncio.run(answered(brand, b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"))
    assert found.fault is Fault.FAILED
