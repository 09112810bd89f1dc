"""What the host's key folder holds: the exchange's signers, its TLS, the operators' public keys.

    <data-dir>/keys/<purpose>.pem              the key in use: receipts, statements, log
    <data-dir>/keys/<purpose>.event.json       its key event, where one was made
    <data-dir>/keys/<purpose>.<key_id>.pem     a key that was in use before; it still signs what
                                               names it
    <data-dir>/keys/calling-tls.pem            with its key: what the exchange calls brands' systems
                                               with; not needed where it calls none
    <data-dir>/operators/<name>.pub.pem        keys of the operators whom the host vouches for
    <data-dir>/certifiers/*.pem                public keys of sandboxes whose reports count here

A setting may name keys in PKCS#11 tokens; then the first of them is in use, and the files' keys are
of those before it. Of a key in a token only the event lies here:
<purpose>.<key_id>.event.json.

Effects: reads files, opens tokens.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

from cryptography.x509 import load_pem_x509_certificates

from exchange.cli.files import read_private
from exchange.cli.keys.exchange_keys import EXCHANGE_PURPOSES, KEY_LIFETIME
from exchange.cli.keys.key_rotation import event_path_of
from exchange.errors import CannotStart
from exchange.token_keys import TokenSigner, parse_token_uri
from partners.commands import AddKey
from partners.envelope import Envelope, from_json, to_json
from partners.errors import Refused
from partners.key_events import EXCHANGE, Registration
from partners.key_files import FileSigner, load_key_file, read_passphrase_file, read_public_key
from partners.keys import KEY_ID_CHARS, Purpose, VerifyKey, key_id_of
from partners.signers import Signers
from partners.wire import key_event_from_payload

HostSigner = FileSigner | TokenSigner
TokenUris = Mapping[Purpose, Sequence[str]]
"""PKCS#11 URIs by purpose, the one in use first."""
NO_TOKENS: TokenUris = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class HostKey:
    """A public key for which the host itself vouches."""

    holder: str
    purpose: Purpose
    public_key: bytes
    event: Envelope | None = None
    """Signed by the key itself, and by the one that it followed."""

    @property
    def key_id(self) -> str:
        """Names the key."""
        return key_id_of(self.public_key)

    def command(self, audience: str, now: datetime) -> AddKey:
        """What registers the key; without an event it is good for ten years from now."""
        valid_from, valid_until = now - timedelta(minutes=1), now + KEY_LIFETIME
        if self.event is not None:
            event = key_event_from_payload(self.event.payload, audience)
            if not isinstance(event, Registration) or event.public_key != self.public_key:
                raise CannotStart(
                    f"the event beside the key {self.key_id} is not its own",
                    "restore it from its backup",
                )
            valid_from, valid_until = event.valid_from, event.valid_until
        return AddKey(
            self.holder,
            self.purpose.value,
            self.key_id,
            self.public_key,
            valid_from,
            valid_until,
            (),
            to_json(self.event).encode() if self.event else b"",
        )


@dataclass(frozen=True, slots=True)
class CallingTls:
    """What the exchange shows to brands' systems, and whom it believes there."""

    authority: bytes
    """PEM of the authority that their certificates must come from."""
    certificate: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class HostKeys:
    """What the host's key folder holds."""

    signers: Signers
    public_keys: tuple[HostKey, ...]
    """The exchange's own, those in use last, and the operators'."""
    certifiers: Mapping[str, VerifyKey]
    """The keys of sandboxes whose certification reports count here, by id."""
    tls_key: bytes
    tls_certificate: bytes
    ca_certificate: bytes
    calling: CallingTls | None = None
    """None in a folder that has no certificate for calls to brands' systems."""


def load_host_keys(data_dir: Path, tokens: TokenUris = NO_TOKENS) -> HostKeys:
    """Read the keys of `<data-dir>/keys` and of `tokens`, and the operators' public keys.

    Raises KeyFileError, FileError or CannotStart.
    """
    folder = data_dir / "keys"
    try:
        held = load_signers(folder, tokens)
        own = tuple(
            HostKey(EXCHANGE, purpose, signer.public_key, _event_of(folder, purpose, signer))
            for purpose, signers in held.items()
            for signer in reversed(signers)
        )
        return HostKeys(
            Signers(held, lambda: load_signers(folder, tokens)),
            own + tuple(_operators_keys(data_dir / "operators")),
            _certifiers(data_dir / "certifiers"),
            read_private(folder / "tls-key.pem"),
            read_certificate(folder / "tls.pem"),
            read_certificate(folder / "ca.pem"),
            load_calling_tls(data_dir),
        )
    except FileNotFoundError as error:
        raise CannotStart(
            f"{error.filename} is missing", f"run `pointclear init --data-dir {data_dir}` first"
        ) from None


def load_calling_tls(data_dir: Path) -> CallingTls | None:
    """What the exchange calls brands' systems with; None where there is nothing.

    Raises FileError or CannotStart.
    """
    folder = data_dir / "keys"
    if not (folder / "calling-tls.pem").exists():
        return None
    return CallingTls(
        read_certificate(folder / "ca.pem"),
        read_certificate(folder / "calling-tls.pem"),
        read_private(folder / "calling-tls-key.pem"),
    )


def load_signers(
    folder: Path, tokens: TokenUris = NO_TOKENS
) -> dict[Purpose, tuple[HostSigner, ...]]:
    """For each purpose the signer in use, then those before it; those in tokens go before those in
    files. Raises KeyFileError or CannotStart.
    """
    passphrase = read_passphrase_file(folder / "passphrase")
    held: dict[Purpose, tuple[HostSigner, ...]] = {}
    for purpose in EXCHANGE_PURPOSES:
        in_tokens = [TokenSigner(parse_token_uri(uri)) for uri in tokens.get(purpose, ())]
        in_use = folder / f"{purpose.lower()}.pem"
        before = folder.glob(f"{purpose.lower()}.{'[0-9a-f]' * KEY_ID_CHARS}.pem")
        # Where the key in use is in a token there need not be one in a file.
        in_files = [in_use] if in_use.exists() or not in_tokens else []
        files = [load_key_file(path, passphrase) for path in (*in_files, *sorted(before))]
        held[purpose] = (*in_tokens, *files)
    return held


def read_certificate(path: Path) -> bytes:
    """A PEM certificate, as gRPC takes it; raises CannotStart for anything else."""
    content = path.read_bytes()
    try:
        load_pem_x509_certificates(content)
    except ValueError:
        # gRPC would say so in a way that looks like a port in use.
        raise CannotStart(f"{path} holds no certificate", "restore it from its backup") from None
    return content


def _certifiers(folder: Path) -> dict[str, VerifyKey]:
    found = [VerifyKey.of(read_public_key(path)) for path in sorted(folder.glob("*.pem"))]
    return {key.key_id: key for key in found}


def _operators_keys(folder: Path) -> Iterator[HostKey]:
    for path in sorted(folder.glob("*.pub.pem")):
        holder = f"operator/{path.name.removesuffix('.pub.pem')}"
        yield HostKey(holder, Purpose.OPERATOR, read_public_key(path))


def _event_of(folder: Path, purpose: Purpose, signer: HostSigner) -> Envelope | None:
    if isinstance(signer, FileSigner):
        beside = event_path_of(signer.path)
    else:
        beside = folder / f"{purpose.lower()}.{signer.key_id}.event.json"
    if not beside.exists():
        return None
    try:
        return from_json(beside.read_text(encoding="utf-8"))
    except (Refused, UnicodeDecodeError):
        raise CannotStart(f"{beside} is no key event", "restore it from its backup") from None
