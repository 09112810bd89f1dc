"""The fixed list of scenarios: each is one thing that a partner's keys and connection must bring
about. They run in this order, and the later ones look at what the earlier ones left.

Effects: the network. The last scenario closes and states the settlement windows that count what the
run ordered. Others of the sandbox lose nothing by it: the next window opens in the same moment,
their positions stay, and they get the statement of what they ordered so far.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import uuid_utils

from exchange.cli.certification.outcome import Outcome
from exchange.cli.certification.trial import NotPassed, Trial, require
from exchange.cli.connection import connect
from exchange.cli.proofs import read_quote
from exchange.cli.settlement.settlement_commands import close_and_state, stated_lines
from exchange.cli.transfers.receipt_commands import read_stream
from partners.certification import ScenarioName, Verdict
from partners.errors import PointclearError, Reason
from partners.keys import Purpose
from partners.wire import envelope_from_proto
from pointclear.common.v1 import refusal_pb2
from pointclear.common.v1.envelope_pb2 import SignedEnvelope
from pointclear.exchange.v1.exchange_service_pb2 import (
    BatchCreateTransfersRequest,
    CreateQuoteRequest,
    CreateTransferRequest,
    GetTransferRequest,
    GetTransferResponse,
    ListTransfersRequest,
    SimulateTransferRequest,
    TransferFilter,
)
from pointclear.exchange.v1.transfer_pb2 import TransferOrder, TransferState
from pointclear.partners.v1.link_service_pb2 import RevokeLinkRequest

SMALL_PAGE = 3
"""So small that a run makes several pages."""
OTHER_AUDIENCE = "production"
ENDED_WITHIN_S = 90
"""Of a transfer that the simulated program will answer: it is asked after some seconds."""
PAUSE_S = 0.5


@dataclass(frozen=True, slots=True)
class Scenario:
    """One thing to bring about."""

    name: ScenarioName
    """Stands in the report."""
    run: Callable[[Trial], None]
    """Raises PointclearError where it is not brought about."""


def outcome_of(scenario: Scenario, trial: Trial) -> Outcome:
    """Run one scenario."""
    try:
        scenario.run(trial)
    except PointclearError as error:
        return Outcome(scenario.name, Verdict.FAILED, str(error) or type(error).__name__)
    return Outcome(scenario.name, Verdict.PASSED)


def commits(trial: Trial) -> None:
    """A good order, and its receipt verified."""
    trial.commit(trial.order())


def simulates(trial: Trial) -> None:
    """What a simulation says is what the order then gets."""
    order = trial.order()
    terms = trial.terms
    told = trial.partner.call(
        trial.partner.exchange.SimulateTransfer,
        SimulateTransferRequest(
            source_program=terms.source_program,
            target_program=terms.target_program,
            source_points=terms.minimum_source_points,
        ),
    )
    record = trial.take(order, trial.send(order)).record
    require(
        told.target_points == record.target_points,
        f"simulated {told.target_points} target points, got {record.target_points}",
    )


def repeats(trial: Trial) -> None:
    """The same bytes again get the same receipt."""
    order = trial.order()
    first = trial.commit(order)
    require(trial.send(order) == first, "the repeated order has another receipt")


def modifies(trial: Trial) -> None:
    """The id of an order that was carried out, with other content."""
    transfer_id = uuid_utils.uuid7().bytes
    first = trial.order(transfer_id=transfer_id)
    receipt = trial.commit(first)
    other = trial.order(transfer_id=transfer_id, partner_reference="another content")
    trial.refused(other, Reason.MODIFIED_REQUEST, recorded=False)
    require(trial.send(first) == receipt, "the first order has lost its receipt")


def mends(trial: Trial) -> None:
    """A wrong figure is refused with a receipt; the right one with a new id is carried out."""
    wrong = target_points_of_order(trial) + 1
    trial.refused(trial.order(target_points=wrong), Reason.AMOUNT_MISMATCH, recorded=True)
    trial.commit(trial.order())


def expires(trial: Trial) -> None:
    """An order whose time is over."""
    now = datetime.now(UTC)
    late = trial.order(issued_at=now - timedelta(minutes=3), expires_at=now - timedelta(minutes=2))
    trial.refused(late, Reason.ORDER_EXPIRED, recorded=True)


def addresses(trial: Trial) -> None:
    """An order for another deployment is void in this one."""
    origin = trial.partner.profile.audience.rpartition("/")[0]
    order = trial.order(audience=f"{origin}/{OTHER_AUDIENCE}")
    trial.refused(order, Reason.AUDIENCE_WRONG, recorded=False)


def alters(trial: Trial) -> None:
    """A signed order of which somebody changed a byte."""
    order = trial.order(partner_reference="before")
    order.payload = order.payload.replace(b"before", b"behind")
    trial.refused(order, Reason.SIGNATURE_INVALID, recorded=False)


def batches(trial: Trial) -> None:
    """A batch is answered order by order: good, wrong, and the good one again."""
    good = trial.order()
    wrong = trial.order(target_points=target_points_of_order(trial) + 1)
    first, second, third = trial.partner.call(
        trial.partner.exchange.BatchCreateTransfers,
        BatchCreateTransfersRequest(orders=[good, wrong, good]),
    ).results
    trial.take(good, first.receipt)
    reason = refusal_pb2.Reason.Name(second.refusal.reason).removeprefix("REASON_")
    require(reason == Reason.AMOUNT_MISMATCH, f"the wrong order got {reason}")
    trial.verify(wrong, second.refusal.receipt)
    require(third == first, "the order that stands twice got two answers")


def recovers(trial: Trial) -> None:
    """An order whose answer never came is sent again on a new connection: it counts once."""
    reference = f"certify-{uuid_utils.uuid7().hex}"
    order = trial.order(partner_reference=reference)
    # Whether the exchange acts on what is cut off here nobody knows, and that is the point.
    trial.partner.exchange.CreateTransfer.future(CreateTransferRequest(order=order)).cancel()
    with connect(trial.partner.profile) as anew:
        receipt = trial.send(order, anew)
        trial.take(order, receipt)
        require(trial.send(order, anew) == receipt, "the repeated order has another receipt")
    found = trial.partner.call(
        trial.partner.exchange.ListTransfers,
        ListTransfersRequest(filter=TransferFilter(partner_reference=reference)),
    ).transfers
    require(len(found) == 1, f"the order counts {len(found)} times")


def looks_up(trial: Trial) -> None:
    """A transfer is found by its id, with the proof that came first."""
    transfer_id = uuid_utils.uuid7().bytes
    order = trial.order(transfer_id=transfer_id)
    receipt = trial.commit(order)
    found = trial.partner.call(
        trial.partner.exchange.GetTransfer, GetTransferRequest(transfer_id=transfer_id)
    )
    require(found.entry.envelope == receipt, "the look-up has another receipt")


def quotes(trial: Trial) -> None:
    """A quote is carried out at exactly its figures, and once."""
    profile, terms = trial.partner.profile, trial.terms
    answer = trial.partner.call(
        trial.partner.exchange.CreateQuote,
        CreateQuoteRequest(
            quote_id=uuid_utils.uuid7().bytes,
            source_program=terms.source_program,
            target_program=terms.target_program,
            source_points=terms.minimum_source_points,
        ),
    )
    keys = trial.partner.exchange_keys(Purpose.RECEIPTS)
    offer = read_quote(
        envelope_from_proto(answer.quote), keys, profile.audience, profile.caller.name
    )

    def at_quote() -> SignedEnvelope:
        return trial.order(
            quote_id=offer.quote_id,
            agreement_id="",
            agreement_version=0,
            target_points=offer.target_points,
        )

    order = at_quote()
    record = trial.take(order, trial.send(order)).record
    require(
        (record.source_points, record.target_points) == (offer.source_points, offer.target_points),
        f"quoted {offer.target_points} target points, got {record.target_points}",
    )
    trial.refused(at_quote(), Reason.QUOTE_USED, recorded=True)


def links(trial: Trial) -> None:
    """Both brands link their member, an order names the link and no member, and each sees its own
    reference. When the link is ended an order that names it is refused.
    """
    link_id = trial.link()

    def by_link() -> SignedEnvelope:
        return trial.order(link_id=link_id, source_member="", target_member="")

    order = by_link()
    transfer_id = trial.take(order, trial.send(order)).record.transfer_id
    for side, own in (
        (trial.partner, trial.source_member),
        (trial.counterparty, trial.target_member),
    ):
        found = side.call(side.exchange.GetTransfer, GetTransferRequest(transfer_id=transfer_id))
        require(
            found.entry.member == own,
            f"{side.profile.caller.name} does not see the member that it linked",
        )
    trial.partner.call(trial.partner.links.RevokeLink, RevokeLinkRequest(link_id=link_id))
    trial.refused(by_link(), Reason.LINK_STATE, recorded=True)


def declines(trial: Trial) -> None:
    """The target declines what is reserved: the order is refused in the end, with its reason."""
    asked = confirming(trial)
    order = asked.order(target_member=nobody_else("refused"))
    reserve(asked, order)
    ended(asked, order, TransferState.TRANSFER_STATE_ABORTED)
    asked.refused(order, Reason.CREDIT_REFUSED, recorded=True)


def waits(trial: Trial) -> None:
    """The target has given the points and does not say so: whoever sent the order waits. When the
    target is asked it answers, and the same order has the receipt of a transfer.
    """
    asked = confirming(trial)
    order = asked.order(target_member=nobody_else("silent"))
    reserve(asked, order)
    require(
        asked.send(order) == found(asked, order).entry.envelope,
        "the order in doubt, sent again, has another receipt",
    )
    ended(asked, order, TransferState.TRANSFER_STATE_COMMITTED)
    asked.take(order, asked.send(order))


def nobody_else(magic: str) -> str:
    """A magic member of this run alone: of one member only the oldest credit is told, and another
    certification's would hold up this one's until its time is over.
    """
    return f"{magic}-{uuid_utils.uuid7().hex}"


def confirming(trial: Trial) -> Trial:
    """The same trial under the agreement whose target confirms. Raises NotPassed."""
    if trial.confirmed is None:
        raise NotPassed("no agreement is in force whose target confirms: see the guide, step 2")
    return replace(trial, terms=trial.confirmed)


def reserve(trial: Trial, order: SignedEnvelope) -> None:
    """Send an order whose target is asked first. Raises Failed."""
    state = trial.verify(order, trial.send(order)).record.state
    require(
        state == TransferState.TRANSFER_STATE_RESERVED,
        f"the order is {TransferState.Name(state)} before its target was asked",
    )


def ended(trial: Trial, order: SignedEnvelope, state: TransferState.ValueType) -> None:
    """Wait until a reservation has ended, and require that it ended so. Raises Failed."""
    deadline = time.monotonic() + ENDED_WITHIN_S
    while (stands := found(trial, order).state) == TransferState.TRANSFER_STATE_RESERVED:
        require(time.monotonic() < deadline, f"it is still in doubt after {ENDED_WITHIN_S} s")
        time.sleep(PAUSE_S)
    require(stands == state, f"it ended as {TransferState.Name(stands)}")


def found(trial: Trial, order: SignedEnvelope) -> GetTransferResponse:
    """An order's transfer as it stands. Raises Failed."""
    transfer_id = TransferOrder.FromString(order.payload).transfer_id
    answer: GetTransferResponse = trial.partner.call(
        trial.partner.exchange.GetTransfer, GetTransferRequest(transfer_id=transfer_id)
    )
    return answer


def pages(trial: Trial) -> None:
    """The stream in small pages is a chain without a gap, and holds what this run proved."""
    stream = read_stream(trial.partner, 0, SMALL_PAGE)
    held = {proof.record.transfer_id: proof.sha256 for proof in stream}
    missing = [
        UUID(bytes=each) for each, sha256 in trial.proved.items() if held.get(each) != sha256
    ]
    require(bool(trial.proved), "nothing was proved in this run")
    require(not missing, f"the stream lacks {', '.join(map(str, missing[:3]))}")


def settles(trial: Trial) -> None:
    """The day is closed and stated; statement and lines verify, and count what was carried out."""
    require(bool(trial.committed), "nothing was carried out in this run")
    # Another certification may have closed the day in between: what counts are the windows that
    # these transfers are in, and closing one again is harmless.
    for window_id in sorted(set(trial.committed.values())):
        close_and_state(trial.operator, window_id)
        lines = stated_lines(trial.partner, window_id)
        missing = [
            each
            for each, counted in sorted(trial.committed.items())
            if counted == window_id and str(each).encode() not in lines
        ]
        require(not missing, f"the line file lacks {', '.join(map(str, missing[:3]))}")


def target_points_of_order(trial: Trial) -> int:
    """What a good order of the trial names."""
    return TransferOrder.FromString(trial.payload()).target_points


SCENARIOS = (
    Scenario(ScenarioName.COMMITS, commits),
    Scenario(ScenarioName.SIMULATES, simulates),
    Scenario(ScenarioName.REPEATS, repeats),
    Scenario(ScenarioName.MODIFIES, modifies),
    Scenario(ScenarioName.MENDS, mends),
    Scenario(ScenarioName.EXPIRES, expires),
    Scenario(ScenarioName.ADDRESSES, addresses),
    Scenario(ScenarioName.ALTERS, alters),
    Scenario(ScenarioName.BATCHES, batches),
    Scenario(ScenarioName.RECOVERS, recovers),
    Scenario(ScenarioName.LOOKS_UP, looks_up),
    Scenario(ScenarioName.QUOTES, quotes),
    Scenario(ScenarioName.LINKS, links),
    Scenario(ScenarioName.DECLINED, declines),
    Scenario(ScenarioName.IN_DOUBT, waits),
    Scenario(ScenarioName.PAGES, pages),
    Scenario(ScenarioName.SETTLES, settles),
)
"""What a certification is, in this order."""
