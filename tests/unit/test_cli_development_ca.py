"""The development authority: one identity in a client certificate, and nothing that could pass for
another.
"""

from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.x509.oid import ExtendedKeyUsageOID
from cryptography.x509.verification import PolicyBuilder, Store

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
from partners.caller import Caller
from partners.errors import Reason, Refused

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
GROCERY = "pointclear://partner/grocery"


@pytest.fixture(scope="module")
def authority() -> CertificateAuthority:
    return create_authority("test", new_tls_key(), NOW)


def names_of(certificate: x509.Certificate) -> list[x509.GeneralName]:
    return list(certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value)


def usages_of(certificate: x509.Certificate) -> list[x509.ObjectIdentifier]:
    return list(certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value)


@pytest.mark.parametrize("identity", [GROCERY, "pointclear://operator/operator"])
def test_a_client_certificate_has_exactly_one_name_and_it_is_the_uri(
    authority: CertificateAuthority, identity: str
) -> None:
    certificate = issue_client_certificate(authority, new_tls_key().public_key(), identity, NOW)
    assert names_of(certificate) == [x509.UniformResourceIdentifier(identity)]
    assert usages_of(certificate) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_server_certificate_names_this_machine_and_serves_the_server_side_only(
    authority: CertificateAuthority,
) -> None:
    certificate = issue_server_certificate(authority, new_tls_key().public_key(), NOW)
    assert [str(name.value) for name in names_of(certificate)] == [
        "localhost",
        "127.0.0.1",
        "::1",
    ]
    assert usages_of(certificate) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_a_brands_server_certificate_names_the_brand_beside_its_host_and_calls_nobody(
    authority: CertificateAuthority,
) -> None:
    certificate = issue_serving_certificate(authority, new_tls_key().public_key(), GROCERY, NOW)
    assert [str(name.value) for name in names_of(certificate)] == [
        "localhost",
        "127.0.0.1",
        "::1",
        "grocery.partner.pointclear.internal",
        GROCERY,
    ]
    assert usages_of(certificate) == [ExtendedKeyUsageOID.SERVER_AUTH]


def test_the_exchange_calls_under_a_name_of_its_own_that_makes_nobody_a_caller(
    authority: CertificateAuthority,
) -> None:
    key = new_tls_key().public_key()
    certificate = issue_calling_certificate(authority, key, "pointclear.local/development", NOW)
    (name,) = names_of(certificate)
    assert name.value == "pointclear://exchange/pointclear.local/development"
    assert usages_of(certificate) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    with pytest.raises(Refused) as raised:
        Caller.from_uris([name.value])
    assert raised.value.reason is Reason.CALLER_UNKNOWN


def test_the_server_certificate_verifies_for_localhost_under_its_own_authority_alone(
    authority: CertificateAuthority,
) -> None:
    certificate = issue_server_certificate(authority, new_tls_key().public_key(), NOW)
    other = create_authority("other", new_tls_key(), NOW)

    def chain_under(root: CertificateAuthority) -> int:
        verifier = (
            PolicyBuilder()
            .store(Store([root.certificate]))
            .time(NOW)
            .build_server_verifier(x509.DNSName("localhost"))
        )
        return len(verifier.verify(certificate, []))

    assert chain_under(authority) == 2
    with pytest.raises(x509.verification.VerificationError):
        chain_under(other)


def test_a_leaf_is_p256_good_for_825_days_and_no_authority_itself(
    authority: CertificateAuthority,
) -> None:
    certificate = issue_client_certificate(authority, new_tls_key().public_key(), GROCERY, NOW)
    key = certificate.public_key()
    assert isinstance(key, EllipticCurvePublicKey)
    assert isinstance(key.curve, SECP256R1)
    assert certificate.not_valid_before_utc < NOW
    assert certificate.not_valid_after_utc == NOW + timedelta(days=825)
    assert not certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_serial_numbers_differ(authority: CertificateAuthority) -> None:
    key = new_tls_key().public_key()
    serials = {
        issue_client_certificate(authority, key, GROCERY, NOW).serial_number for _ in range(8)
    }
    assert len(serials) == 8


@pytest.mark.parametrize(
    "identity",
    [
        "",
        "grocery",
        "https://partner/grocery",
        "pointclear://partner/",
        "pointclear://partner/Grocery",
        "pointclear://partner/grocery/x",
        "pointclear://auditor/grocery",
    ],
)
def test_an_identity_that_names_nobody_gets_no_certificate(
    authority: CertificateAuthority, identity: str
) -> None:
    with pytest.raises(Refused) as refusal:
        issue_client_certificate(authority, new_tls_key().public_key(), identity, NOW)
    assert refusal.value.reason is Reason.CALLER_UNKNOWN


def test_an_authority_survives_its_files_and_shows_no_key_in_its_repr(
    authority: CertificateAuthority,
) -> None:
    read = CertificateAuthority.from_pem(pem(authority.certificate), private_key_pem(authority.key))
    assert read.certificate == authority.certificate
    assert read.key.private_numbers() == authority.key.private_numbers()
    assert "key=" not in repr(authority)
