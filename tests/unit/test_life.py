"""The life of a partner, decided in the fold; and who may trade at which point of it."""

from dataclasses import replace
from datetime import timedelta

import pytest

from exchange.fold import State, fold
from exchange.outcomes import Booked, Recorded, Repeated
from partners.certification import (
    WATCHED,
    CertificationReport,
    Method,
    ScenarioName,
    Verdict,
    check_report,
)
from partners.environment import Environment
from partners.errors import Reason, Refused
from partners.life import LifeStep, PartnerState, may_trade, state_after
from partners.operators.commands import MovePartner
from tests import factories as make

REACHED = {
    (PartnerState.SANDBOX, LifeStep.ACTIVATE): PartnerState.LIVE,
    (PartnerState.LIVE, LifeStep.SUSPEND): PartnerState.SUSPENDED,
    (PartnerState.SUSPENDED, LifeStep.RESUME): PartnerState.LIVE,
    (PartnerState.SANDBOX, LifeStep.EXIT): PartnerState.EXITED,
    (PartnerState.LIVE, LifeStep.EXIT): PartnerState.EXITED,
    (PartnerState.SUSPENDED, LifeStep.EXIT): PartnerState.EXITED,
}
"""Every step that leads somewhere."""


@pytest.mark.parametrize("state", PartnerState)
@pytest.mark.parametrize("step", LifeStep)
def test_a_step_leads_from_its_states_and_from_no_other(
    state: PartnerState, step: LifeStep
) -> None:
    if (state, step) in REACHED:
        assert state_after(state, step) is REACHED[state, step]
        return
    with pytest.raises(Refused) as refused:
        state_after(state, step)
    assert (refused.value.reason, refused.value.field) == (Reason.PARTNER_STATE, "partner_id")


@pytest.mark.parametrize("environment", Environment)
def test_live_partners_trade_and_those_in_the_sandbox_where_nothing_is_real(
    environment: Environment,
) -> None:
    trading = {state for state in PartnerState if may_trade(state, environment)}
    in_production = environment is Environment.PRODUCTION
    assert trading == {PartnerState.LIVE} | (set() if in_production else {PartnerState.SANDBOX})


def in_production() -> State:
    """The coalition as a deployment for production has it."""
    state = make.a_state()
    return replace(state, registry=replace(state.registry, environment=Environment.PRODUCTION))


def move(partner_id: str, step: LifeStep, cause: str, certification: str = "") -> MovePartner:
    """A step."""
    return MovePartner(partner_id, step, cause, certification)


def test_in_production_partners_trade_when_both_are_live() -> None:
    first = make.an_order(1), make.an_order(2), make.an_order(3)
    results = fold(
        in_production(),
        [
            first[0],
            move("grocery", LifeStep.ACTIVATE, "1", "{}"),
            first[1],
            move("fuel", LifeStep.ACTIVATE, "2", "{}"),
            first[2],
        ],
        make.NOW,
    ).results
    answers = [
        (each.reason, each.refusal.field if each.refusal else "")
        for each in results
        if isinstance(each, Recorded)
    ]
    assert answers == [
        (Reason.PARTNER_SUSPENDED, "source_program"),
        (Reason.PARTNER_SUSPENDED, "target_program"),
        (None, ""),
    ]


def test_a_suspension_holds_from_the_next_order_of_the_same_batch() -> None:
    orders = [make.an_order(number) for number in (1, 2, 3)]
    folded = fold(
        make.a_state(),
        [
            move("grocery", LifeStep.ACTIVATE, "1"),
            orders[0],
            move("grocery", LifeStep.SUSPEND, "2"),
            orders[1],
            move("grocery", LifeStep.RESUME, "3"),
            orders[2],
        ],
        make.NOW,
    )
    outcomes = [each.reason for each in folded.results if isinstance(each, Recorded)]
    assert outcomes == [None, Reason.PARTNER_SUSPENDED, None]


def test_production_asks_for_a_certification_and_no_other_environment_does() -> None:
    step = move("grocery", LifeStep.ACTIVATE, "1")
    (refused,) = fold(in_production(), [step], make.NOW).results
    assert isinstance(refused, Refused)
    assert (refused.reason, refused.field) == (Reason.CERTIFICATION_MISSING, "certification")
    (booked,) = fold(make.a_state(), [step], make.NOW).results
    assert isinstance(booked, Booked)


def test_a_step_is_taken_once_and_says_on_what_it_rests() -> None:
    step = move("grocery", LifeStep.ACTIVATE, "cause", '{"signed":"report"}')
    first = fold(make.a_state(), [step], make.NOW)
    (booked,) = first.results
    assert isinstance(booked, Booked)
    assert booked.entry_key == "partner-state/grocery/cause"
    assert b'"cause":"cause","certification":"{' in booked.body
    assert fold(first.state, [step], make.NOW).results == (Repeated(booked.log_index),)
    (unknown,) = fold(make.a_state(), [move("nobody", LifeStep.EXIT, "1")], make.NOW).results
    assert isinstance(unknown, Refused)
    assert unknown.reason is Reason.PARTNER_UNKNOWN


PASSED = dict.fromkeys(ScenarioName, Verdict.PASSED)
REPORT = CertificationReport(
    "pointclear.test/sandbox",
    "grocery",
    Method.RUN,
    tuple(PASSED.items()),
    make.NOW - timedelta(days=1),
)
SEEN = {name: Verdict.PASSED if name in WATCHED else Verdict.NOT_JUDGED for name in ScenarioName}
BY_WATCH = replace(REPORT, method=Method.WATCH, verdicts=tuple(SEEN.items()))


@pytest.mark.parametrize("report", [REPORT, BY_WATCH], ids=["by run", "by watch"])
def test_a_partner_goes_live_with_a_report_of_either_method(report: CertificationReport) -> None:
    check_report(report, "grocery", make.NOW)


def test_a_report_may_say_more_than_the_list_asks() -> None:
    newer = replace(REPORT, verdicts=(*REPORT.verdicts, ("a reversal", Verdict.PASSED)))
    check_report(newer, "grocery", make.NOW)


@pytest.mark.parametrize(
    ("report", "field"),
    [
        (replace(REPORT, partner_id="fuel"), ""),
        (replace(REPORT, issued_at=make.NOW + timedelta(minutes=1)), ""),
        (replace(REPORT, issued_at=make.NOW - timedelta(days=365)), ""),
        (replace(REPORT, method=None), ""),
        (replace(REPORT, audience="pointclear.test/production"), ".audience"),
        (replace(REPORT, audience="pointclear.test/notasandbox"), ".audience"),
        (replace(REPORT, verdicts=()), ".scenarios"),
        (replace(REPORT, verdicts=REPORT.verdicts[1:]), ".scenarios"),
        (replace(REPORT, verdicts=(*REPORT.verdicts[1:], ("a try", Verdict.PASSED))), ".scenarios"),
        (replace(REPORT, verdicts=(*REPORT.verdicts, ("more", Verdict.FAILED))), ".scenarios"),
        (
            replace(REPORT, verdicts=(*REPORT.verdicts, (ScenarioName.COMMITS, Verdict.FAILED))),
            ".scenarios",
        ),
        (replace(BY_WATCH, method=Method.RUN), ".scenarios"),
        (
            replace(
                BY_WATCH,
                verdicts=tuple((SEEN | {ScenarioName.MENDS: Verdict.NOT_JUDGED}).items()),
            ),
            ".scenarios",
        ),
    ],
    ids=[
        "another's",
        "of tomorrow",
        "too old",
        "made nobody says how",
        "made in production",
        "made in something that only ends alike",
        "empty",
        "of an older list",
        "of another list",
        "with another thing that failed",
        "that contradicts itself",
        "by watch that says it was by run",
        "by watch that did not see all that it can",
    ],
)
def test_a_report_that_does_not_let_the_partner_go_live_is_refused_by_name(
    report: CertificationReport, field: str
) -> None:
    with pytest.raises(Refused) as refused:
        check_report(report, "grocery", make.NOW)
    assert refused.value.reason is Reason.CERTIFICATION_MISSING
    assert refused.value.field == f"certification{field}"
