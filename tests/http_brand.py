"""A brand that speaks HTTP, as a process of its own, and the program through which it is called."""

import json
import secrets
import select
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.http_program import Endpoint, HttpProgram, connect
from exchange.cli.development_ca import (
    CertificateAuthority,
    create_authority,
    issue_server_certificate,
    new_tls_key,
    pem,
    private_key_pem,
)
from partners.key_files import create_key_file
from partners.keys import Purpose, SeedSigner
from partners.registry import RegisteredKey
from tests.processes import READY_TIMEOUT_S, ROOT, environment, folder

AUDIENCE = "pointclear.local/development"
PARTNER = "airline"
PROGRAM = "airline-miles"
MEMBER = "anna"
ORDERS = Purpose.ORDERS
EXAMPLE = ROOT / "docs" / "examples" / "http-brand" / "brand.py"
FAULTY = ROOT / "tests" / "faulty_http_brand.py"
TIMEOUT_S = 20.0
"""Long enough for a machine that does much else."""


@dataclass
class HttpBrand:
    """A brand's folder, its process, and what the exchange knows of it."""

    folder: Path
    authority: CertificateAuthority
    exchange: SeedSigner
    keys: dict[str, RegisteredKey]
    process: "subprocess.Popen[bytes] | None" = None
    base_url: str = ""

    def start(self, script: Path = FAULTY) -> None:
        """Serve, where it served before; returns when it does."""
        listen = self.base_url.removeprefix("https://") or "127.0.0.1:0"
        arguments = ["--folder", str(self.folder), "--listen", listen]
        arguments += ["--member", MEMBER, "--member", f"{MEMBER}-2"]
        with (self.folder / "stderr").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, str(script), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
            )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else b""
        assert line, f"the brand did not start: {(self.folder / 'stderr').read_text()}"
        self.base_url = json.loads(line)["ready"]
        settings = json.loads((self.folder / "brand.json").read_text())
        (self.folder / "brand.json").write_text(json.dumps(settings | {"base_url": self.base_url}))

    def kill(self) -> None:
        """As when the power fails."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.process = None

    def fault(self, name: str) -> None:
        """What is wrong from now on; nothing, if empty."""
        (self.folder / "kept").unlink(missing_ok=True)
        (self.folder / "fault").write_text(name)

    def certify(self, now: datetime) -> None:
        """A certificate for its host that was issued at some time."""
        tls_key = new_tls_key()
        certificate = issue_server_certificate(self.authority, tls_key.public_key(), now)
        (self.folder / "tls.pem").write_bytes(pem(certificate))
        (self.folder / "tls-key.pem").write_bytes(private_key_pem(tls_key))

    @property
    def endpoint(self) -> Endpoint:
        """Where it is."""
        return Endpoint(self.base_url, self.folder / "ca.pem")

    @asynccontextmanager
    async def program(
        self, timeout_s: float = TIMEOUT_S, endpoint: Endpoint | None = None
    ) -> AsyncIterator[HttpProgram]:
        """The program as the exchange calls it."""
        endpoint = endpoint or self.endpoint
        async with connect(endpoint) as client:
            yield HttpProgram(
                client,
                endpoint,
                AUDIENCE,
                PARTNER,
                PROGRAM,
                self.exchange,
                self.keys.get,
                timeout_s,
            )


def registered(
    key_id: str, public_key: bytes, holder: str = f"partner/{PARTNER}", purpose: Purpose = ORDERS
) -> RegisteredKey:
    """A key as the exchange has it."""
    begins = datetime.now(UTC) - timedelta(days=1)
    ends = begins + timedelta(days=30)
    return RegisteredKey(key_id, holder, purpose, public_key, begins, ends, 1)


def new_brand(folder: Path) -> HttpBrand:
    """A brand with keys, a certificate, and an exchange that knows them."""
    passphrase = secrets.token_urlsafe(16)
    (folder / "passphrase").write_text(passphrase)
    own = create_key_file(folder / "orders.pem", passphrase.encode())
    seeds = secrets.token_bytes(32), secrets.token_bytes(32)
    others = [SeedSigner(seed) for seed in seeds]
    keys = [
        registered(own.key_id, own.public_key),
        registered(others[0].key_id, others[0].public_key, holder="partner/hotel"),
        registered(others[1].key_id, others[1].public_key, purpose=Purpose.AGREEMENTS),
    ]
    exchange = SeedSigner(secrets.token_bytes(32))
    profile = {
        "audience": AUDIENCE,
        "partner_id": PARTNER,
        "program": PROGRAM,
        "base_url": "",
        "exchange_keys": {exchange.key_id: exchange.public_key.hex()},
    }
    (folder / "brand.json").write_text(json.dumps(profile))
    authority = create_authority("test", new_tls_key(), datetime.now(UTC))
    (folder / "ca.pem").write_bytes(pem(authority.certificate))
    brand = HttpBrand(folder, authority, exchange, {key.key_id: key for key in keys})
    brand.certify(datetime.now(UTC))
    for name, seed in zip(("other-brands-seed", "agreements-seed"), seeds, strict=True):
        (folder / name).write_bytes(seed)
    return brand


@contextmanager
def running_brand(script: Path = FAULTY) -> Iterator[HttpBrand]:
    """A brand at work, in a folder of its own."""
    with folder() as path:
        brand = new_brand(path)
        brand.start(script)
        try:
            yield brand
        finally:
            if brand.process is not None:
                brand.kill()
