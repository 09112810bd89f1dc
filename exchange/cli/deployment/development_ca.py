"""The development certificate authority: who a channel belongs to, in a deployment of one machine.

Pure but for the randomness of keys and serial numbers. The rules kept here:

- Leaves are ECDSA P-256: TLS with Ed25519 certificates fails in gRPC.
- A client certificate has exactly one subject alternative name, the URI `pointclear://partner/<id>`
  or `pointclear://operator/<name>`, and no DNS name: identity is that URI and nothing else. The
  exchange's own, with which it calls brands' systems, has `pointclear://exchange/<audience>`.
- A brand's server certificate has its URI too, and the same as a DNS name (`partner_host`), beside
  the names of its host: whoever calls holds it to one of the two, wherever the server stands.
- The authority may sign leaves only, and a leaf may serve one end of a connection only.

In production a partner sends a certificate request to an authority that is not kept beside the
server. Source: RFC 5280; RFC 8446 for the key usage of TLS 1.3.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from partners.caller import Caller, exchange_uri, partner_host

AUTHORITY_LIFETIME = timedelta(days=3650)
LEAF_LIFETIME = timedelta(days=825)
BACKDATED = timedelta(minutes=5)
"""Certificates are good from a little before now, for machines whose clock is behind."""


@dataclass(frozen=True, slots=True)
class CertificateAuthority:
    """The authority's certificate and private key."""

    certificate: x509.Certificate
    key: EllipticCurvePrivateKey = field(repr=False)

    @classmethod
    def from_pem(cls, certificate: bytes, key: bytes) -> Self:
        """Read what `pem` and `private_key_pem` wrote. Raises ValueError for anything else."""
        private_key = load_pem_private_key(key, None)
        if not isinstance(private_key, EllipticCurvePrivateKey):
            raise ValueError("the authority's key is not an elliptic curve key")
        return cls(x509.load_pem_x509_certificate(certificate), private_key)


def new_tls_key() -> EllipticCurvePrivateKey:
    """A new ECDSA P-256 key."""
    return generate_private_key(SECP256R1())


def create_authority(
    name: str, key: EllipticCurvePrivateKey, now: datetime
) -> CertificateAuthority:
    """An authority that certifies itself. `name` is for people."""
    subject = _named(name)
    certificate = (
        _certificate(subject, subject, key.public_key(), now, AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return CertificateAuthority(certificate, key)


def issue_server_certificate(
    authority: CertificateAuthority, key: EllipticCurvePublicKey, now: datetime
) -> x509.Certificate:
    """A certificate for a server on this machine: localhost, 127.0.0.1 and ::1."""
    names = x509.SubjectAlternativeName(_this_machine())
    return _leaf(authority, "localhost", key, names, ExtendedKeyUsageOID.SERVER_AUTH, now)


def issue_serving_certificate(
    authority: CertificateAuthority, key: EllipticCurvePublicKey, identity: str, now: datetime
) -> x509.Certificate:
    """A certificate for a brand's own server on this machine.

    Raises Refused(CALLER_UNKNOWN) if `identity` names no caller, and Refused(ROLE_MISSING) if that
    is no partner.
    """
    caller = Caller.from_uris([identity])
    names = x509.SubjectAlternativeName(
        [
            *_this_machine(),
            x509.DNSName(partner_host(caller.require_partner())),
            x509.UniformResourceIdentifier(identity),
        ]
    )
    return _leaf(authority, caller.name, key, names, ExtendedKeyUsageOID.SERVER_AUTH, now)


def issue_calling_certificate(
    authority: CertificateAuthority, key: EllipticCurvePublicKey, audience: str, now: datetime
) -> x509.Certificate:
    """A certificate with which the exchange calls brands' systems. The exchange itself takes it for
    nobody's.
    """
    identity = x509.UniformResourceIdentifier(exchange_uri(audience))
    names = x509.SubjectAlternativeName([identity])
    return _leaf(authority, "exchange", key, names, ExtendedKeyUsageOID.CLIENT_AUTH, now)


def issue_client_certificate(
    authority: CertificateAuthority, key: EllipticCurvePublicKey, identity: str, now: datetime
) -> x509.Certificate:
    """A certificate for the caller that `identity` names.

    Raises Refused(CALLER_UNKNOWN) if it names none.
    """
    caller = Caller.from_uris([identity])
    names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity)])
    return _leaf(authority, caller.name, key, names, ExtendedKeyUsageOID.CLIENT_AUTH, now)


def pem(certificate: x509.Certificate) -> bytes:
    """The certificate as PEM."""
    return certificate.public_bytes(Encoding.PEM)


def private_key_pem(key: EllipticCurvePrivateKey) -> bytes:
    """The key as PKCS#8 PEM, not encrypted: gRPC reads no other.

    It belongs into a file of mode 0600.
    """
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _this_machine() -> list[x509.GeneralName]:
    return [
        x509.DNSName("localhost"),
        x509.IPAddress(ip_address("127.0.0.1")),
        x509.IPAddress(ip_address("::1")),
    ]


def _leaf(
    authority: CertificateAuthority,
    name: str,
    key: EllipticCurvePublicKey,
    names: x509.SubjectAlternativeName,
    usage: x509.ObjectIdentifier,
    now: datetime,
) -> x509.Certificate:
    return (
        _certificate(_named(name), authority.certificate.subject, key, now, LEAF_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(names, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()),
            critical=False,
        )
        .sign(authority.key, SHA256())
    )


def _certificate(
    subject: x509.Name,
    issuer: x509.Name,
    key: EllipticCurvePublicKey,
    now: datetime,
    lifetime: timedelta,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + lifetime)
    )


def _named(name: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Pointclear development"),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
