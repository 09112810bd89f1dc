"""A scenario passes when nothing is wrong, and the report says of each whether it did."""

from datetime import UTC, datetime
from typing import cast

import pytest

from exchange.cli.certification.outcome import Outcome
from exchange.cli.certification.report import report_document, signed_report
from exchange.cli.certification.scenarios import SCENARIOS, Scenario, outcome_of
from exchange.cli.certification.trial import NotPassed, Trial, refusal_of, require
from exchange.cli.failure import unavailable
from partners.certification import (
    SCENARIOS_MAX,
    WATCHED,
    Method,
    ScenarioName,
    Verdict,
    check_report,
    verify_report,
)
from partners.envelope import CERTIFICATION_REPORT, sign
from partners.errors import Reason, Refused
from partners.keys import SeedSigner, VerifyKey
from partners.operators.wire import report_from_payload
from partners.wire import time_to_proto
from pointclear.partners.v1 import certification_pb2

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SANDBOX = SeedSigner(bytes(range(32)))
TRUSTED = {SANDBOX.key_id: VerifyKey.of(SANDBOX.public_key)}
NOBODY = cast(Trial, None)
NAME = ScenarioName.COMMITS


def test_a_scenario_passes_unless_something_raises() -> None:
    def wrong(_trial: Trial) -> None:
        require(False, "two came")

    def away(_trial: Trial) -> None:
        raise unavailable("nobody answers", "Try again.")

    good = outcome_of(Scenario(NAME, lambda _trial: None), NOBODY)
    assert good == Outcome(NAME, Verdict.PASSED)
    failed = outcome_of(Scenario(NAME, wrong), NOBODY)
    assert failed == Outcome(NAME, Verdict.FAILED, "two came")
    assert outcome_of(Scenario(NAME, away), NOBODY).note == "UNAVAILABLE: nobody answers"


def test_an_order_that_should_be_refused_and_is_carried_out_does_not_pass() -> None:
    with pytest.raises(NotPassed, match="carried out"):
        refusal_of(lambda: None)


def outcomes(method: Method) -> dict[ScenarioName, Outcome]:
    """Of a certification in which everything passed that its method judges."""
    judged = {Method.RUN: frozenset(ScenarioName), Method.WATCH: WATCHED}[method]
    verdicts = {True: Verdict.PASSED, False: Verdict.NOT_JUDGED}
    return {name: Outcome(name, verdicts[name in judged]) for name in ScenarioName}


@pytest.mark.parametrize("method", Method)
@pytest.mark.parametrize("verdict", [Verdict.PASSED, Verdict.FAILED])
def test_production_believes_a_report_in_which_everything_passed(
    method: Method, verdict: Verdict
) -> None:
    ended = outcomes(method) | {ScenarioName.MENDS: Outcome(ScenarioName.MENDS, verdict)}
    envelope = signed_report(
        SANDBOX, "here/sandbox", "aurora", bytes(32), method, ended.values(), NOW
    )
    document = report_document(envelope)
    assert (document["method"], document["passed"]) == (method, verdict is Verdict.PASSED)
    verify_report(envelope, TRUSTED)
    report = report_from_payload(envelope.payload)
    if verdict is Verdict.PASSED:
        check_report(report, "aurora", NOW)
        return
    with pytest.raises(Refused, match=f"not passed: {ScenarioName.MENDS}") as refused:
        check_report(report, "aurora", NOW)
    assert refused.value.reason is Reason.CERTIFICATION_MISSING
    assert str(ScenarioName.MENDS) in document["fault"]


def test_what_a_report_says_in_unknown_words_is_no_pass() -> None:
    message = certification_pb2.CertificationReport(
        audience="here/sandbox", partner_id="aurora", issued_at=time_to_proto(NOW)
    )
    for name in ScenarioName:
        message.scenarios.add(name=name).verdict = 77  # type: ignore[assignment]
    message.method = 77  # type: ignore[assignment]
    payload = message.SerializeToString(deterministic=True)
    report = report_from_payload(payload)
    assert report.method is None
    assert {verdict for _, verdict in report.verdicts} == {Verdict.FAILED}
    assert not report_document(sign(SANDBOX, CERTIFICATION_REPORT, payload))["passed"]


def test_a_run_goes_through_the_whole_list_in_its_order() -> None:
    assert [each.name for each in SCENARIOS] == list(ScenarioName)
    assert len(ScenarioName) <= SCENARIOS_MAX
