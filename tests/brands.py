"""Brands' own programs for tests: real processes over real mutual TLS, killed whatever happens.

`made` makes an authority, the exchange's certificate for calls and brands' profiles, as `init` and
`partner add` do. `serving` starts the example brand, or its faulty twin, on a free port.
"""

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from adapters.grpc_program import GrpcEndpoint
from exchange.cli.deployment.development_ca import (
    CertificateAuthority,
    create_authority,
    new_tls_key,
)
from exchange.cli.deployment.initialise import ensure_calling_tls
from exchange.cli.partners.onboarding import make_partner_profile
from exchange.cli.profile import load_profile
from partners.key_files import FileSigner
from partners.keys import Purpose
from partners.registry import RegisteredKey
from tests.processes import READY_TIMEOUT_S, ROOT, environment

BRAND = ROOT / "docs" / "examples" / "python-brand" / "brand.py"
FAULTY_BRAND = ROOT / "tests" / "faulty_brand.py"
AUDIENCE = "pointclear.local/development"


@dataclass(frozen=True)
class Brands:
    """An authority, the exchange's certificate for calls, and profiles by partner id."""

    folder: Path
    authority: CertificateAuthority

    def profile(self, partner_id: str) -> Path:
        """A brand's profile, made where it is not there yet."""
        path = self.folder / partner_id
        if not path.exists():
            now = datetime.now(UTC)
            make_partner_profile(path, self.authority, partner_id, "localhost:7443", AUDIENCE, now)
        return path

    def orders_key(self, partner_id: str) -> FileSigner:
        """A brand's key for orders."""
        return load_profile(self.profile(partner_id)).signer(Purpose.ORDERS)

    def registered(self, *partner_ids: str) -> dict[str, RegisteredKey]:
        """The brands' keys for orders as the exchange knows them."""
        now, day = datetime.now(UTC), timedelta(days=1)
        keys = {each: self.orders_key(each) for each in partner_ids}
        return {
            key.key_id: RegisteredKey(
                key.key_id,
                f"partner/{each}",
                Purpose.ORDERS,
                key.public_key,
                now - day,
                now + day,
                1,
            )
            for each, key in keys.items()
        }

    def endpoint(
        self, address: str, partner_id: str = "borealis", deadline_s: float = 10
    ) -> GrpcEndpoint:
        """How the exchange calls a brand's program, named like the brand."""
        keys = self.folder / "keys"
        return GrpcEndpoint(
            address,
            partner_id,
            partner_id,
            AUDIENCE,
            (self.profile(partner_id) / "ca.pem").read_bytes(),
            (keys / "calling-tls.pem").read_bytes(),
            (keys / "calling-tls-key.pem").read_bytes(),
            deadline_s,
        )


def made(folder: Path) -> Brands:
    """A new authority in a folder, with what the exchange calls with."""
    now = datetime.now(UTC)
    authority = create_authority("test", new_tls_key(), now)
    (folder / "keys").mkdir()
    ensure_calling_tls(folder / "keys", authority, AUDIENCE, now)
    return Brands(folder, authority)


def enrol(journal: Path, *members: str, eligible: bool = True, script: Path = BRAND) -> None:
    """Make people members of the brand whose journal this is."""
    flags = [] if eligible else ["--ineligible"]
    command = [sys.executable, str(script), "enrol", "--journal", str(journal), *flags, *members]
    subprocess.run(command, env=environment(), check=True)


@dataclass
class Serving:
    """A brand's process that takes calls."""

    process: subprocess.Popen[str]
    address: str

    def kill(self) -> None:
        """Kill -9, and wait until it is gone."""
        self.process.kill()
        self.process.wait()


@contextmanager
def serving(
    profile: Path,
    journal: Path,
    *arguments: str,
    script: Path = BRAND,
    interpreter: str = sys.executable,
    listen: str = "127.0.0.1:0",
) -> Iterator[Serving]:
    """A brand's process, from its ready line on; killed on leaving."""
    command = [interpreter, str(script), "serve", "--profile", str(profile)]
    command += ["--journal", str(journal), "--listen", listen, *arguments]
    env = environment()
    # The faulty brand is not in the folder of what it imports.
    env["PYTHONPATH"] += f"{os.pathsep}{BRAND.parent}"
    with subprocess.Popen(
        command, env=env, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as process:
        try:
            assert process.stdout is not None
            ready, _, _ = select.select([process.stdout], [], [], READY_TIMEOUT_S)
            line = process.stdout.readline() if ready else ""
            assert line, f"{script} did not say that it is ready"
            yield Serving(process, json.loads(line)["address"])
        finally:
            process.kill()


def fault_file(journal: Path) -> Path:
    """Where the faulty brand reads, at each call, what it is to do wrong."""
    return journal.with_suffix(".fault")


def misbehave(journal: Path, fault: str) -> None:
    """From the next call on, the faulty brand of this journal does this."""
    path = fault_file(journal)
    path.with_suffix(".new").write_text(fault)
    os.replace(path.with_suffix(".new"), path)
