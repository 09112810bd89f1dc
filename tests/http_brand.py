"""The brand that speaks HTTP, as a process of its own, and the program that calls it."""

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
from exchange.cli.deployment.development_ca import (
    issue_serving_certificate,
    new_tls_key,
    pem,
    private_key_pem,
)
from partners.key_files import write_public_key
from partners.keys import Purpose, SeedSigner
from partners.registry import RegisteredKey
from tests.brands import AUDIENCE, Brands, made
from tests.processes import READY_TIMEOUT_S, ROOT, environment, folder

PARTNER = "airline"
PROGRAM = "airline-miles"
MEMBER = "anna"
EXAMPLE = ROOT / "docs" / "examples" / "http-brand" / "brand.py"
FAULTY = ROOT / "tests" / "faulty_http_brand.py"
TIMEOUT_S = 20.0
"""Long enough for a machine that does much else."""


@dataclass
class HttpBrand:
    """A brand's profile, its process, and what the exchange knows of it."""

    brands: Brands
    exchange: SeedSigner
    keys: dict[str, RegisteredKey]
    process: "subprocess.Popen[bytes] | None" = None
    address: str = "127.0.0.1:0"

    @property
    def folder(self) -> Path:
        """Its profile, where its journal and a test's wishes are too."""
        return self.brands.profile(PARTNER)

    @property
    def journal(self) -> Path:
        """Its members and answers."""
        return self.folder / "journal.db"

    @property
    def base_url(self) -> str:
        """Where it is called."""
        return f"https://{self.address}"

    @property
    def endpoint(self) -> Endpoint:
        """Where it is, and who vouches for it."""
        keys = self.brands.folder / "keys"
        return Endpoint(
            self.base_url,
            self.folder / "ca.pem",
            keys / "calling-tls.pem",
            keys / "calling-tls-key.pem",
        )

    def run(self, script: Path, *arguments: str) -> "subprocess.Popen[bytes]":
        """A command of its program."""
        with (self.folder / "stderr").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, str(script), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment(),
            )

    def enrol(self, *members: str) -> None:
        """Members join."""
        command = self.run(EXAMPLE, "enrol", "--journal", str(self.journal), *members)
        command.communicate()
        assert command.returncode == 0, (self.folder / "stderr").read_text()

    def start(self, script: Path = FAULTY, program: str = PROGRAM) -> None:
        """Serve, where it served before; returns when it does."""
        self.process = self.run(
            script,
            *("serve", "--profile", str(self.folder), "--journal", str(self.journal)),
            *("--exchange-key", str(self.folder / "exchange.pem")),
            *("--listen", self.address, "--program", program),
        )
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], READY_TIMEOUT_S)
        line = self.process.stdout.readline() if readable else b""
        assert line, f"the brand did not start: {(self.folder / 'stderr').read_text()}"
        self.address = json.loads(line)["address"]

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
        certificate = issue_serving_certificate(
            self.brands.authority, tls_key.public_key(), f"pointclear://partner/{PARTNER}", now
        )
        (self.folder / "serving-tls.pem").write_bytes(pem(certificate))
        (self.folder / "serving-tls-key.pem").write_bytes(private_key_pem(tls_key))

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


def registered(signer: SeedSigner, holder: str, purpose: Purpose) -> RegisteredKey:
    """A key as the exchange has it."""
    begins = datetime.now(UTC) - timedelta(days=1)
    ends = begins + timedelta(days=30)
    return RegisteredKey(signer.key_id, holder, purpose, signer.public_key, begins, ends, 1)


def new_brand(home: Path) -> HttpBrand:
    """A brand with keys and a certificate, and an exchange that knows them."""
    brands = made(home)
    keys = brands.registered(PARTNER)
    exchange = SeedSigner(secrets.token_bytes(32))
    brand = HttpBrand(brands, exchange, keys)
    write_public_key(brand.folder / "exchange.pem", exchange.public_key)
    for name, holder, purpose in (
        ("other-brands-seed", "partner/hotel", Purpose.ORDERS),
        ("agreements-seed", f"partner/{PARTNER}", Purpose.AGREEMENTS),
    ):
        seed = secrets.token_bytes(32)
        (brand.folder / name).write_bytes(seed)
        key = registered(SeedSigner(seed), holder, purpose)
        keys[key.key_id] = key
    return brand


@contextmanager
def running_brand(script: Path = FAULTY) -> Iterator[HttpBrand]:
    """A brand at work, in a folder of its own."""
    with folder() as home:
        brand = new_brand(home)
        brand.enrol(MEMBER, f"{MEMBER}-2")
        brand.start(script)
        try:
            yield brand
        finally:
            if brand.process is not None:
                brand.kill()
