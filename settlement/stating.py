"""States a closed window: reads how its partners stand, then its sums and streams, keeps line files
and legs, gives the statements to book.

Two transactions. The first makes the draft, which is booked when it is approved; the second rests
on it alone. A crash before the second's commit leaves nothing of it; after it the files and legs
lie there, unnamed by any entry, and the next run computes the same ones, finds them equal and goes
on.
"""

from dataclasses import replace
from typing import Any

from exchange.fold import InvariantBroken
from partners.limits.values import Funding, PartnerLimits
from partners.registry import Partner
from settlement import store
from settlement.approval.draft import Draft, Stood
from settlement.approval.store import open_withholdings
from settlement.approval.withholding import withheld
from settlement.calendar.banking import due_date
from settlement.lines.line import Role
from settlement.lines.line_sums import LineSums
from settlement.lines.store import keep_line_file, lines_of
from settlement.netting import Figures, figures, nets
from settlement.own_funds.own_leg import own_leg
from settlement.pairs.standing import between
from settlement.pairs.store import pairs_of
from settlement.schemes.scheme import CashLegs, scheme_of
from settlement.settling import check_stateable, leg_of
from settlement.standing import own_stands, partner_limits, reserved_at, standings
from settlement.statement import ProgramPoints, Statement, StreamRange, statement_of
from settlement.windows import SettlementWindow, WindowSum


def draft_of(connection: Any, window: SettlementWindow, signing_key_id: str) -> Draft:
    """How a closed window would be stated now.

    Raises Refused(WINDOW_STATE) while it is open or an earlier window is not stated,
    InvariantBroken where the books contradict themselves.
    """
    previous = store.window_before(connection, window)
    check_stateable(window, previous)
    assert window.closing_tree is not None, "check_stateable refuses an open window"
    scheme = scheme_of(connection, window.currency.code)
    by_number = nets(store.window_sums(connection, window))
    stands = standings(connection, window)
    reserved = reserved_at(connection, window)
    limits = partner_limits(connection)
    open_ones = open_withholdings(connection, window.currency.code)
    pairs, since = None, 0
    if scheme.cash_legs is CashLegs.BILATERAL:
        since, pairs = pairs_of(connection, window, open_ones)
    # What is in dispute between partners that pay each other is among what is between them.
    in_dispute = withheld(open_ones, window.closing_tree.size if pairs is None else since)

    def stood(partner: Partner) -> Stood:
        name = partner.partner_id
        before = _brought_forward(connection, previous, partner)
        limit = limits.get(name) or PartnerLimits(name, net_debit_cap=partner.net_debit_cap)
        return Stood(
            before,
            stands[name].carried - before,
            in_dispute.get(name, 0) + between(pairs or (), name),
            stands[name].collateral,
            reserved.get(name, 0),
            limit.funding,
            # Of a PREPAID partner the collateral is the cap.
            stands[name].collateral if limit.funding is Funding.PREPAID else limit.net_debit_cap,
            signing_key_id,
        )

    partners = store.partners_of(connection, window)
    return Draft(
        window.window_id,
        {"hub": by_number[0], **{p.partner_id: by_number.get(p.number, 0) for p in partners}},
        due_date(scheme, store.closed_at(connection, window)),
        scheme.minimum_payout,
        {partner.partner_id: stood(partner) for partner in partners},
        pairs,
        since,
        own_stands(connection, window),
    )


def _brought_forward(connection: Any, previous: SettlementWindow | None, partner: Partner) -> int:
    """What the partner's statement before carries forward; 0 for one that had none."""
    if previous is None:
        return 0
    statement = store.statement_of(connection, previous.window_id, partner.partner_id)
    return statement.carried_forward if statement else 0


def state_window(
    connection: Any, window: SettlementWindow, audience: str, draft: Draft
) -> tuple[tuple[int, Statement], ...]:
    """The statement of every partner of a closed window, with the partner's number.

    Raises InvariantBroken where the books contradict themselves or what was stated before.
    """
    desk = _Desk(connection, window, audience, draft)
    partners = store.partners_of(connection, window)
    statements = {partner.number: desk.state(partner) for partner in partners}
    if sum(each.net for each in statements.values()) + desk.nets[0] != 0:
        raise InvariantBroken(f"the statements of {window.window_id} leave out a party")
    planned = [leg_of(window, number, each) for number, each in statements.items()]
    planned.append(own_leg(window, draft.own))
    store.keep_legs(connection, window, [leg for leg in planned if leg is not None])
    return tuple(statements.items())


class _Desk:
    """One window being stated: what is read once for all its partners."""

    def __init__(
        self, connection: Any, window: SettlementWindow, audience: str, draft: Draft
    ) -> None:
        self.connection = connection
        self.window = window
        self.audience = audience
        self.draft = draft
        self.sums: tuple[WindowSum, ...] = store.window_sums(connection, window)
        self.nets = nets(self.sums)
        self.tax_codes = store.tax_codes(connection)
        self.points: dict[str, ProgramPoints] = store.program_points(connection, window)
        self.streams = store.stream_ranges(connection, window)

    def state(self, partner: Partner) -> Statement:
        """Keep the partner's line file, in one pass over its lines, and make its statement."""
        window = self.window
        stood = self.draft.partners[partner.partner_id]
        stream = self.streams.get(partner.number, StreamRange())
        read = lines_of(self.connection, window, partner, stream)
        lines = keep_line_file(self.connection, window, partner, read)
        statement = statement_of(
            window,
            replace(partner, net_debit_cap=stood.net_debit_cap),
            self.figures(partner, lines),
            lines,
            brought_forward=stood.brought_forward,
            points={name: each for name, each in self.points.items() if name in partner.programs},
            stream=stream,
            audience=self.audience,
            signing_key_id=stood.signing_key_id,
            standing=self.draft.standing(partner.partner_id),
        )
        stated = store.statement_of(self.connection, window.window_id, partner.partner_id)
        if stated is not None and stated != statement:
            raise InvariantBroken(
                f"{partner.partner_id} was stated otherwise before: {stated}, now {statement}"
            )
        return statement

    def figures(self, partner: Partner, lines: LineSums) -> Figures:
        incoming = lines.totals(Role.TARGET).value
        given_back = lines.totals(Role.TARGET_REVERSED).value
        return figures(self.sums, partner.number, incoming, self.tax_codes, given_back)
