"""The life of terms through the front door: taxes by date, and agreements from proposal to end."""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from exchange.embedded_postgres import OWNER_ROLE
from partners.envelope import (
    AGREEMENT_TERMINATION,
    AGREEMENT_WITHDRAWAL,
    KEY_EVENT,
    RATE_AGREEMENT,
    sign,
)
from partners.errors import Reason
from partners.keys import Purpose, SeedSigner
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.partners.v1 import agreement_life_pb2, key_pb2
from pointclear.partners.v1 import partners_service_pb2 as pb
from tests.acceptance.coalition import (
    AUDIENCE,
    Brand,
    Coalition,
    check_log_and_books,
    coalition,
    make_data_dir,
    refused,
    terms,
)
from tests.processes import Server, connection, folder, pointclear


@pytest.fixture(scope="module")
def members() -> Iterator[Coalition]:
    """Three brands that trade with each other."""
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as founded,
    ):
        yield founded


# Taxes


def a_rate(tax_code: str, basis_points: int, effective_from: datetime) -> pb.AddTaxRateRequest:
    return pb.AddTaxRateRequest(
        rate=pb.TaxRate(
            tax_code=tax_code,
            basis_points=basis_points,
            effective_from=time_to_proto(effective_from),
        )
    )


def test_an_operator_adds_the_rate_of_a_tax_from_a_future_instant_on(members: Coalition) -> None:
    operator, partner = members.operator, members["aurora"].connection
    request = a_rate("vat9", 850, datetime.now(UTC) + timedelta(days=30))
    for _ in range(2):
        operator.call(operator.partners.AddTaxRate, request)
    listed = partner.call(partner.partners.ListTaxRates, pb.ListTaxRatesRequest())
    assert [each.basis_points for each in listed.rates if each.tax_code == "vat9"] == [900, 850]


def test_no_rate_begins_in_the_past_and_a_partner_adds_none(members: Coalition) -> None:
    operator, partner = members.operator, members["aurora"].connection
    past = a_rate("vat6", 0, datetime.now(UTC) - timedelta(seconds=1))
    refusal = refused(operator.partners.AddTaxRate, past)
    assert (refusal.reason, refusal.field) == (Reason.EFFECTIVE_IN_PAST, "rate.effective_from")
    assert refused(partner.partners.AddTaxRate, past).reason is Reason.ROLE_MISSING


def test_t18_the_list_of_rates_comes_in_pages_of_its_own_tokens(members: Coalition) -> None:
    partner, other = members["aurora"].connection, members["borealis"].connection
    whole = partner.call(partner.partners.ListTaxRates, pb.ListTaxRatesRequest()).rates
    seen: list[pb.TaxRate] = []
    token = ""
    while True:
        page = partner.call(
            partner.partners.ListTaxRates, pb.ListTaxRatesRequest(page_size=2, page_token=token)
        )
        seen += page.rates
        token = page.next_page_token or token
        if not page.next_page_token:
            break
    assert seen == list(whole)
    forged = pb.ListTaxRatesRequest(page_size=2, page_token=token)
    for refusal in (
        refused(other.partners.ListTaxRates, forged),
        refused(partner.partners.ListTaxRates, pb.ListTaxRatesRequest(page_token="x")),
    ):
        assert (refusal.reason, refusal.field) == (Reason.FIELD_INVALID, "page_token")


# Agreements

NAME = "aurora-borealis"
"""Version 1 of it is in force."""
AHEAD = timedelta(days=30)


def signed(brand: Brand, payload: bytes, payload_type: str = RATE_AGREEMENT) -> SignedEnvelope:
    """A payload under a brand's key for agreements."""
    return envelope_to_proto(sign(brand.agreements, payload_type, payload))


def propose(brand: Brand, payload: bytes) -> pb.Agreement:
    request = pb.ProposeAgreementRequest(agreement=signed(brand, payload))
    connection = brand.connection
    return connection.call(connection.partners.ProposeAgreement, request).agreement


def counter(brand: Brand, payload: bytes) -> pb.Agreement:
    request = pb.CounterAgreementRequest(agreement=signed(brand, payload))
    connection = brand.connection
    return connection.call(connection.partners.CounterAgreement, request).agreement


def counter_sign(brand: Brand, payload: bytes) -> pb.Agreement:
    request = pb.SignAgreementRequest(agreement=signed(brand, payload))
    connection = brand.connection
    return connection.call(connection.partners.SignAgreement, request).agreement


def activation(version: int, begins: datetime | None = None) -> pb.ActivateAgreementRequest:
    request = pb.ActivateAgreementRequest(agreement_id=NAME, version=version)
    if begins is not None:
        request.effective_from.CopyFrom(time_to_proto(begins))
    return request


def withdrawal(brand: Brand, version: int, payload: bytes) -> pb.WithdrawAgreementRequest:
    body = agreement_life_pb2.AgreementWithdrawal(
        audience=AUDIENCE,
        agreement_id=NAME,
        version=version,
        agreement_sha256=hashlib.sha256(payload).digest(),
        issued_at=time_to_proto(datetime.now(UTC)),
    ).SerializeToString(deterministic=True)
    return pb.WithdrawAgreementRequest(withdrawal=signed(brand, body, AGREEMENT_WITHDRAWAL))


def termination(
    brand: Brand, version: int, payload: bytes, until: datetime
) -> pb.TerminateAgreementRequest:
    body = agreement_life_pb2.AgreementTermination(
        audience=AUDIENCE,
        agreement_id=NAME,
        version=version,
        agreement_sha256=hashlib.sha256(payload).digest(),
        effective_until=time_to_proto(until),
        issued_at=time_to_proto(datetime.now(UTC)),
    ).SerializeToString(deterministic=True)
    return pb.TerminateAgreementRequest(termination=signed(brand, body, AGREEMENT_TERMINATION))


def state(agreement: pb.Agreement) -> str:
    return pb.AgreementState.Name(agreement.state).removeprefix("AGREEMENT_STATE_")


def test_a_version_is_negotiated_scheduled_and_terminated_over_the_wire(
    members: Coalition,
) -> None:
    aurora, borealis, operator = members["aurora"], members["borealis"], members.operator
    first, second = (terms("aurora", "borealis", 2, fee_basis_points=fee) for fee in (90, 80))
    assert state(propose(aurora, first)) == "PROPOSED"
    assert state(counter(borealis, second)) == "COUNTERED"
    stale = pb.SignAgreementRequest(agreement=signed(borealis, first))
    refusal = refused(borealis.connection.partners.SignAgreement, stale)
    assert refusal.reason is Reason.TERMS_DIFFER
    assert state(counter_sign(aurora, second)) == "SIGNED"
    begins = datetime.now(UTC) + AHEAD
    activated = operator.call(operator.partners.ActivateAgreement, activation(2, begins)).agreement
    assert state(activated) == "SCHEDULED"
    assert activated.envelope.payload == second
    aurora.send(aurora.order())
    until = begins + AHEAD
    partners = aurora.connection.partners
    notice = termination(aurora, 2, second, until)
    for _ in range(2):
        ended = aurora.connection.call(partners.TerminateAgreement, notice).agreement
    assert ended.effective_until.ToDatetime(UTC) == until
    shown = borealis.connection.call(
        borealis.connection.partners.GetAgreement,
        pb.GetAgreementRequest(agreement_id=NAME, version=2),
    )
    assert shown.agreement == ended
    rounds = [(each.proposer, len(each.envelope.signatures)) for each in shown.proposals]
    assert rounds == [("aurora", 1), ("borealis", 2)]
    check_log_and_books(members.data_dir)


def test_terms_that_may_not_come_into_force_are_refused_by_name(members: Coalition) -> None:
    aurora, borealis, operator = members["aurora"], members["borealis"], members.operator
    activate, payload = operator.partners.ActivateAgreement, terms("aurora", "borealis", 3)
    propose(aurora, payload)
    refusal = refused(activate, activation(3))
    assert refusal.reason is Reason.COUNTER_SIGNATURE_MISSING
    counter_sign(borealis, payload)
    past = refused(activate, activation(3, datetime.now(UTC) - timedelta(seconds=1)))
    assert (past.reason, past.field) == (Reason.EFFECTIVE_IN_PAST, "effective_from")
    # Version 2 is scheduled: with 3 from now on and for ever there would be two at once.
    overlap = refused(activate, activation(3))
    assert (overlap.reason, overlap.field) == (Reason.AGREEMENT_OVERLAPS, "effective_from")


def test_a_proposer_withdraws_and_nobody_else_does(members: Coalition) -> None:
    aurora, borealis, operator = members["aurora"], members["borealis"], members.operator
    payload = terms("aurora", "borealis", 4)
    propose(aurora, payload)
    theirs = refused(
        borealis.connection.partners.WithdrawAgreement, withdrawal(borealis, 4, payload)
    )
    assert theirs.reason is Reason.AGREEMENT_STATE
    foreign = refused(
        members["cirrus"].connection.partners.WithdrawAgreement,
        withdrawal(members["cirrus"], 4, payload),
    )
    assert foreign.reason is Reason.AGREEMENT_UNKNOWN
    withdrawn = aurora.connection.call(
        aurora.connection.partners.WithdrawAgreement, withdrawal(aurora, 4, payload)
    ).agreement
    assert state(withdrawn) == "WITHDRAWN"
    late = pb.SignAgreementRequest(agreement=signed(borealis, payload))
    refusal = refused(borealis.connection.partners.SignAgreement, late)
    assert refusal.reason is Reason.AGREEMENT_STATE
    refusal = refused(operator.partners.ActivateAgreement, activation(4))
    assert refusal.reason is Reason.COUNTER_SIGNATURE_MISSING


def test_terms_under_a_key_that_nobody_registered_or_for_orders_are_not_proposed(
    members: Coalition,
) -> None:
    aurora, payload = members["aurora"], terms("aurora", "borealis", 5)
    for signer in (SeedSigner(bytes(32)), aurora.orders):
        envelope = envelope_to_proto(sign(signer, RATE_AGREEMENT, payload))
        refusal = refused(
            aurora.connection.partners.ProposeAgreement,
            pb.ProposeAgreementRequest(agreement=envelope),
        )
        assert refusal.reason is Reason.KEY_UNKNOWN


def test_a_notice_is_never_shorter_than_it_must_be(members: Coalition) -> None:
    aurora, operator = members["aurora"], members.operator
    payload = operator.call(
        operator.partners.GetAgreement, pb.GetAgreementRequest(agreement_id=NAME, version=1)
    ).agreement.envelope.payload
    soon = datetime.now(UTC) + timedelta(hours=23)
    for refusal in (
        refused(
            aurora.connection.partners.TerminateAgreement, termination(aurora, 1, payload, soon)
        ),
        refused(
            operator.partners.EndAgreement,
            pb.EndAgreementRequest(
                agreement_id=NAME, version=1, effective_until=time_to_proto(soon)
            ),
        ),
    ):
        assert (refusal.reason, refusal.field) == (Reason.NOTICE_TOO_SHORT, "effective_until")


def test_t18_lists_of_agreements_keys_and_partners_come_in_pages(members: Coalition) -> None:
    aurora, operator = members["aurora"].connection, members.operator
    lists: tuple[tuple[Any, Any, str], ...] = (
        ("ListAgreements", pb.ListAgreementsRequest, "agreements"),
        ("ListKeys", pb.ListKeysRequest, "keys"),
        ("ListPartners", pb.ListPartnersRequest, "partners"),
    )
    for name, request, field in lists:
        method = getattr(aurora.partners, name)
        whole = list(getattr(aurora.call(method, request(page_size=2**31 - 1)), field))
        assert len(whole) > 2
        seen, token = [], ""
        while True:
            page = aurora.call(method, request(page_size=2, page_token=token))
            seen += getattr(page, field)
            if not page.next_page_token:
                break
            token = page.next_page_token
        assert seen == whole
        for refusal in (
            refused(method, request(page_token="x")),
            refused(method, request(page_size=-1)),
            refused(getattr(operator.partners, name), request(page_token=token)),
        ):
            assert refusal.reason is Reason.FIELD_INVALID


def test_t05_terms_signed_by_a_key_that_was_revoked_meanwhile_bind_nobody(
    members: Coalition,
) -> None:
    cirrus, aurora, operator = members["cirrus"], members["aurora"], members.operator
    payload = terms("cirrus", "aurora", 2)
    propose(cirrus, payload)
    counter_sign(aurora, payload)
    event = key_pb2.KeyEvent(
        audience=AUDIENCE,
        partner_id="cirrus",
        action=key_pb2.KEY_ACTION_REVOKE,
        key_id=cirrus.agreements.key_id,
        reason=key_pb2.REVOCATION_REASON_COMPROMISED,
    ).SerializeToString(deterministic=True)
    by_operator = sign(operator.profile.signer(Purpose.OPERATOR), KEY_EVENT, event)
    revocation = pb.RevokeKeyRequest(key_event=envelope_to_proto(by_operator))
    operator.call(operator.partners.RevokeKey, revocation)
    request = pb.ActivateAgreementRequest(agreement_id="cirrus-aurora", version=2)
    assert refused(operator.partners.ActivateAgreement, request).reason is Reason.KEY_NOT_IN_FORCE
    fresh = pb.ProposeAgreementRequest(agreement=signed(cirrus, terms("cirrus", "aurora", 3)))
    refusal = refused(cirrus.connection.partners.ProposeAgreement, fresh)
    assert refusal.reason is Reason.KEY_NOT_IN_FORCE


def test_t07_the_check_of_everything_runs_beside_the_server_and_finds_nothing_wrong(
    members: Coalition,
) -> None:
    done = pointclear("fsck", "--data-dir", members.data_dir, "--json")
    assert (done.returncode, json.loads(done.stdout)) == (0, {"faults": []}), done.stderr
    with connection(members.data_dir, OWNER_ROLE) as database, database.cursor() as cursor:
        cursor.execute("ALTER TABLE agreement_signature DISABLE TRIGGER USER")
        cursor.execute(
            "UPDATE agreement_signature SET signature = set_byte(signature, 5, 7)"
            " WHERE (agreement_id, version, partner_id) = ('borealis-cirrus', 1, 'cirrus')"
        )
        database.commit()
    done = pointclear("fsck", "--data-dir", members.data_dir)
    assert done.returncode == 1
    assert "agreement borealis-cirrus version 1 round 1" in done.stdout
