"""A scenario passes when nothing is wrong, and the report says of each whether it did."""

from datetime import UTC, datetime
from typing import cast

import pytest

from exchange.cli.certification.report import report_document, signed_report
from exchange.cli.certification.scenarios import SCENARIOS, Outcome, Scenario, outcome_of
from exchange.cli.certification.trial import NotPassed, Trial, refusal_of, require
from exchange.cli.failure import unavailable
from partners.certification import SCENARIOS_MAX, check_report, verify_report
from partners.errors import Reason, Refused
from partners.keys import SeedSigner, VerifyKey
from partners.operators.wire import report_from_payload

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SANDBOX = SeedSigner(bytes(range(32)))
TRUSTED = {SANDBOX.key_id: VerifyKey.of(SANDBOX.public_key)}
NOBODY = cast(Trial, None)


def test_a_scenario_passes_unless_something_raises() -> None:
    def wrong(_trial: Trial) -> None:
        require(False, "two came")

    def away(_trial: Trial) -> None:
        raise unavailable("nobody answers", "Try again.")

    assert outcome_of(Scenario("good", lambda _trial: None), NOBODY).passed
    assert outcome_of(Scenario("wrong", wrong), NOBODY) == Outcome("wrong", "two came")
    assert outcome_of(Scenario("away", away), NOBODY).fault == "UNAVAILABLE: nobody answers"


def test_an_order_that_should_be_refused_and_is_carried_out_does_not_pass() -> None:
    with pytest.raises(NotPassed, match="carried out"):
        refusal_of(lambda: None)


@pytest.mark.parametrize("fault", ["", "two came"])
def test_production_believes_a_report_in_which_everything_passed(fault: str) -> None:
    outcomes = [Outcome("one"), Outcome("two", fault)]
    envelope = signed_report(SANDBOX, "here/sandbox", "aurora", bytes(32), outcomes, NOW)
    assert report_document(envelope)["passed"] is not bool(fault)
    verify_report(envelope, TRUSTED)
    report = report_from_payload(envelope.payload)
    if not fault:
        check_report(report, "aurora", NOW)
        return
    with pytest.raises(Refused, match="not passed: two") as refused:
        check_report(report, "aurora", NOW)
    assert refused.value.reason is Reason.CERTIFICATION_MISSING


def test_every_scenario_has_a_name_of_its_own() -> None:
    assert len({each.name for each in SCENARIOS}) == len(SCENARIOS) <= SCENARIOS_MAX
