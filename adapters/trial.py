"""A brand's system under check, called by the adapter that its address asks for.

Effects: the network, and one key that is made and forgotten: codes are sealed for nobody.
"""

import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import uuid_utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from adapters.conformance import Subject, Verdict, run_checks
from adapters.grpc_program import GrpcEndpoint, GrpcProgram
from partners.errors import Reason, Refused
from partners.keys import Purpose, Signer, key_id_of
from partners.program_port import ProgramPort
from partners.registry import RegisteredKey

HTTPS = "https://"


@dataclass(frozen=True, slots=True)
class Trial:
    """Which system, as whose, and what the exchange shows and believes there."""

    address: str
    """`host:port` of a ProgramService, or the base URL of an HTTP endpoint."""
    partner_id: str
    program: str
    audience: str
    keys: Mapping[str, RegisteredKey]
    """The brand's for orders, by id."""
    authority: Path
    """PEM of whoever vouches for the server."""
    certificate: Path
    """PEM of the exchange's own for calls, with its key in a file of its own."""
    tls_key: Path = field(repr=False)
    signer: Signer
    """The exchange's for receipts: signs what goes over HTTP."""
    member: str
    unknown_member: str
    points: int
    codes: bool
    takes_back: bool
    timeout_s: float
    attempts: int


async def tried(trial: Trial) -> tuple[Verdict, ...]:
    """A verdict for each check. Raises Refused(FIELD_INVALID) for an address that is none, or for
    files that are not what they should be.
    """
    async with _opened(trial) as port:
        subject = Subject(
            port,
            trial.program,
            trial.member,
            _new_id,
            trial.points,
            trial.unknown_member,
            keeps_balances=not trial.codes,
            takes_back=trial.takes_back,
            source_key=Ed25519PrivateKey.generate().public_key().public_bytes_raw(),
            attempts=trial.attempts,
        )
        return await run_checks(subject)


def keys_for_orders(partner_id: str, public_keys: Iterable[bytes]) -> dict[str, RegisteredKey]:
    """Public keys as if they were registered for a brand, by id."""
    always = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return {
        key_id_of(each): RegisteredKey(
            key_id_of(each), f"partner/{partner_id}", Purpose.ORDERS, each, *always, 0
        )
        for each in public_keys
    }


@asynccontextmanager
async def _opened(trial: Trial) -> AsyncIterator[ProgramPort]:
    if trial.address.startswith(HTTPS):
        # The libraries for HTTP belong to the server, and gRPC needs none of them.
        from adapters.http_program import Endpoint, HttpProgram, connect

        try:
            endpoint = Endpoint(trial.address, trial.authority, trial.certificate, trial.tls_key)
            client = connect(endpoint)
        except (ValueError, OSError, ssl.SSLError) as error:
            raise Refused(Reason.FIELD_INVALID, "address", str(error)) from None
        async with client:
            yield HttpProgram(
                client,
                endpoint,
                trial.audience,
                trial.partner_id,
                trial.program,
                trial.signer,
                trial.keys.get,
                trial.timeout_s,
            )
        return
    host, _, port = trial.address.rpartition(":")
    if not host or not port.isdigit():
        raise Refused(
            Reason.FIELD_INVALID, "address", "an address is HOST:PORT or begins with https://"
        )
    program = GrpcProgram(
        GrpcEndpoint(
            trial.address,
            trial.partner_id,
            trial.program,
            trial.audience,
            trial.authority.read_bytes(),
            trial.certificate.read_bytes(),
            trial.tls_key.read_bytes(),
            trial.timeout_s,
        ),
        trial.keys.get,
        lambda: datetime.now(UTC),
    )
    try:
        yield program
    finally:
        await program.close()


def _new_id() -> UUID:
    return UUID(bytes=uuid_utils.uuid7().bytes)
