"""Makes the data directory of a deployment: authority, TLS, the exchange's keys and the first
operators.

    deployment.json            {"audience": "...", "environment": "development"}: written last, so
                               that a half-made directory does not look made
    pointclear.toml            but for production: that one operator may do what takes two; in a
                               sandbox also which program is simulated
    keys/                      0700: ca.pem, ca-key.pem, tls.pem, tls-key.pem, calling-tls.pem and
                               calling-tls-key.pem for calls to brands' systems, receipts.pem,
                               statements.pem, log.pem with their events, passphrase
    operator/                  the first operator's profile, unless operators are named
    operators/<name>/          profiles of the operators that are named
    operators/<name>.pub.pem   public keys that `serve` registers

Effects: writes files, each whole or not at all, none ever replaced. After a crash the next run goes
on from what is there. The database is not made here: `serve` makes it.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from exchange.cli.deployment.development_ca import (
    CertificateAuthority,
    create_authority,
    issue_calling_certificate,
    issue_client_certificate,
    issue_server_certificate,
    issue_serving_certificate,
    new_tls_key,
    pem,
    private_key_pem,
)
from exchange.cli.files import (
    PRIVATE_MODE,
    PUBLIC_MODE,
    FileError,
    make_directory,
    read_file,
    read_private,
    write_new,
)
from exchange.cli.keys.exchange_keys import (
    DEPLOYMENT_FILE,
    EXCHANGE_PURPOSES,
    ensure_exchange_key,
)
from exchange.cli.profile import (
    PROFILE_FILE,
    ensure_key,
    ensure_passphrase,
    key_path,
    load_profile,
    write_profile_document,
)
from partners.environment import SANDBOX_SUFFIX, Environment
from partners.errors import Reason, Refused
from partners.key_files import FileSigner, write_public_key
from partners.keys import Purpose
from partners.points import check_id

DEFAULT_AUDIENCE = "pointclear.local/development"
DEFAULT_SANDBOX_AUDIENCE = f"pointclear.local{SANDBOX_SUFFIX}"
SETTINGS_FILE = "pointclear.toml"
OPERATOR = "operator"
DEVELOPMENT_SETTINGS = """\
# One operator may do here what takes two in production.
four_eyes = "off"
"""
SANDBOX_SETTINGS = f"""\
{DEVELOPMENT_SETTINGS}
# The program of the simulated counterparty: the references of its magic members say what happens.
simulated_programs = "mirror"
"""

_DATA_DIRECTORY_MODE = 0o711
"""The database runs as another user when started by root, and must be able to pass through."""


@dataclass(frozen=True, slots=True)
class Initialised:
    """What was made."""

    data_dir: Path
    audience: str
    environment: Environment
    server: str
    """The address in the operators' profiles."""
    operator_profiles: dict[str, Path]
    """By name."""
    operator_key_id: str
    """Of the first."""
    exchange_key_ids: dict[str, str]
    """Key id by purpose."""


def initialise(
    data_dir: Path,
    audience: str,
    server: str,
    now: datetime,
    environment: Environment = Environment.DEVELOPMENT,
    operators: Sequence[str] = (),
) -> Initialised:
    """Make the data directory.

    Raises Refused(ALREADY_EXISTS), having touched nothing, where it is made already, and
    Refused(FIELD_INVALID) for production with fewer than two operators: what takes two people could
    never be done, or for a sandbox whose audience is not one's.
    """
    check_operators(environment, operators)
    if environment is Environment.SANDBOX:
        check_sandbox_audience(audience)
    if (data_dir / DEPLOYMENT_FILE).exists():
        raise Refused(
            Reason.ALREADY_EXISTS, "data_dir", f"{data_dir} holds an exchange already; it is kept"
        )
    make_directory(data_dir, _DATA_DIRECTORY_MODE)
    keys = data_dir / "keys"
    make_directory(keys)
    authority = _ensure_authority(keys, now)
    _ensure_server_certificate(keys, authority, now)
    ensure_calling_tls(keys, authority, audience, now)
    ensure_passphrase(keys)
    exchange_key_ids = {
        purpose.lower(): ensure_exchange_key(data_dir, purpose, audience, now).signer.key_id
        for purpose in EXCHANGE_PURPOSES
    }
    profiles = {name: data_dir / "operators" / name for name in operators} or {
        OPERATOR: data_dir / OPERATOR
    }
    key_ids = [
        _ensure_operator(data_dir, directory, authority, name, audience, server, now)
        for name, directory in profiles.items()
    ]
    if environment is not Environment.PRODUCTION:
        sandbox = environment is Environment.SANDBOX
        settings = SANDBOX_SETTINGS if sandbox else DEVELOPMENT_SETTINGS
        _ensure(data_dir / SETTINGS_FILE, settings.encode(), PUBLIC_MODE)
    document = json.dumps({"audience": audience, "environment": environment}) + "\n"
    write_new(data_dir / DEPLOYMENT_FILE, document.encode(), PUBLIC_MODE)
    return Initialised(
        data_dir, audience, environment, server, profiles, key_ids[0], exchange_key_ids
    )


def check_operators(environment: Environment, operators: Sequence[str]) -> None:
    """Raise Refused(FIELD_INVALID) unless these can operate a deployment."""
    for name in operators:
        check_id(name, "operator")
    if environment is Environment.PRODUCTION and len(set(operators)) < 2:
        raise Refused(Reason.FIELD_INVALID, "operator", "production needs two operators: name each")


def check_sandbox_audience(audience: str) -> None:
    """Raise Refused(FIELD_INVALID) unless this is the audience of a sandbox."""
    if not audience.endswith(SANDBOX_SUFFIX):
        raise Refused(
            Reason.FIELD_INVALID,
            "audience",
            f"{audience} is no sandbox: a sandbox's audience ends in {SANDBOX_SUFFIX}",
        )


def load_authority(data_dir: Path) -> CertificateAuthority:
    """The development authority of a deployment. Raises FileError."""
    keys = data_dir / "keys"
    try:
        return CertificateAuthority.from_pem(
            read_file(keys / "ca.pem"), read_private(keys / "ca-key.pem")
        )
    except ValueError:
        raise FileError(
            f"{keys}: ca.pem and ca-key.pem are no authority; restore them from their backup"
        ) from None


def ensure_client_tls(
    directory: Path, authority: CertificateAuthority, identity: str, now: datetime
) -> None:
    """A client's authority, TLS key and certificate in its profile, made where they are not there
    yet.
    """
    make_directory(directory)
    _ensure(directory / "ca.pem", pem(authority.certificate), PUBLIC_MODE)
    key = _ensure_tls_key(directory / "tls-key.pem")
    certificate = issue_client_certificate(authority, key.public_key(), identity, now)
    _ensure(directory / "tls.pem", pem(certificate), PUBLIC_MODE)


def ensure_serving_tls(
    directory: Path, authority: CertificateAuthority, identity: str, now: datetime
) -> None:
    """The TLS key and certificate of a brand's own server in its profile, made where they are not
    there yet.
    """
    key = _ensure_tls_key(directory / "serving-tls-key.pem")
    certificate = issue_serving_certificate(authority, key.public_key(), identity, now)
    _ensure(directory / "serving-tls.pem", pem(certificate), PUBLIC_MODE)


def ensure_calling_tls(
    keys: Path, authority: CertificateAuthority, audience: str, now: datetime
) -> None:
    """The TLS key and certificate with which the exchange calls brands' systems, made where they
    are not there yet.
    """
    key = _ensure_tls_key(keys / "calling-tls-key.pem")
    certificate = issue_calling_certificate(authority, key.public_key(), audience, now)
    _ensure(keys / "calling-tls.pem", pem(certificate), PUBLIC_MODE)


def _ensure_authority(keys: Path, now: datetime) -> CertificateAuthority:
    key = _ensure_tls_key(keys / "ca-key.pem")
    authority = create_authority("certificate authority", key, now)
    _ensure(keys / "ca.pem", pem(authority.certificate), PUBLIC_MODE)
    return load_authority(keys.parent)


def _ensure_server_certificate(keys: Path, authority: CertificateAuthority, now: datetime) -> None:
    key = _ensure_tls_key(keys / "tls-key.pem")
    certificate = issue_server_certificate(authority, key.public_key(), now)
    _ensure(keys / "tls.pem", pem(certificate), PUBLIC_MODE)


def make_operator_profile(
    directory: Path,
    authority: CertificateAuthority,
    name: str,
    audience: str,
    server: str,
    now: datetime,
) -> FileSigner:
    """Make an operator's profile, or complete one that was half made; returns its signing key.

    Raises Refused(ALREADY_EXISTS) for another's.
    """
    identity = f"pointclear://operator/{name}"
    complete = (directory / PROFILE_FILE).exists()
    if complete and load_profile(directory).identity != identity:
        raise Refused(Reason.ALREADY_EXISTS, "out", f"{directory} is the profile of someone else")
    ensure_client_tls(directory, authority, identity, now)
    signer = ensure_key(key_path(directory, Purpose.OPERATOR), ensure_passphrase(directory))
    if not complete:
        write_profile_document(directory, identity, server, audience)
    return signer


def _ensure_operator(
    data_dir: Path,
    directory: Path,
    authority: CertificateAuthority,
    name: str,
    audience: str,
    server: str,
    now: datetime,
) -> str:
    public = data_dir / "operators" / f"{name}.pub.pem"
    make_directory(public.parent, 0o755)
    signer = make_operator_profile(directory, authority, name, audience, server, now)
    if not public.exists():
        write_public_key(public, signer.public_key)
    return signer.key_id


def _ensure_tls_key(path: Path) -> EllipticCurvePrivateKey:
    if not path.exists():
        write_new(path, private_key_pem(new_tls_key()), PRIVATE_MODE)
    try:
        key = load_pem_private_key(read_private(path), None)
    except (ValueError, TypeError):
        key = None
    if not isinstance(key, EllipticCurvePrivateKey):
        raise FileError(f"{path}: this is not a TLS key of ours; restore it from its backup")
    return key


def _ensure(path: Path, content: bytes, mode: int) -> None:
    if not path.exists():
        write_new(path, content, mode)
