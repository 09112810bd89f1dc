"""States a closed window: reads its sums and streams, keeps line files and legs, gives the payloads
to book.

One transaction. A crash before its commit leaves nothing; after it the files and legs lie there,
unnamed by any entry, and the next run computes the same ones, finds them equal and goes on.
"""

from collections.abc import Mapping
from typing import Any

from exchange.fold import InvariantBroken
from partners.registry import Partner
from settlement import store, wire
from settlement.line_file import Role
from settlement.line_sums import LineSums
from settlement.netting import Figures, figures, nets
from settlement.settling import check_stateable, leg_of
from settlement.statement import ProgramPoints, Statement, StreamRange, statement_of
from settlement.windows import SettlementWindow, WindowSum


def state_window(
    connection: Any, window: SettlementWindow, audience: str, signing_key_id: str
) -> Mapping[str, bytes]:
    """The statement payload of every partner of a closed window, by partner id.

    Raises Refused(WINDOW_STATE) while an earlier window is not stated, InvariantBroken where the
    books contradict themselves or what was stated before.
    """
    previous = store.window_before(connection, window)
    check_stateable(window, previous)
    desk = _Desk(connection, window, previous, audience, signing_key_id)
    partners = store.partners_of(connection, window)
    statements = {partner.number: desk.state(partner) for partner in partners}
    if sum(each.net for each in statements.values()) + desk.nets[0] != 0:
        raise InvariantBroken(f"the statements of {window.window_id} leave out a party")
    planned = (leg_of(window, number, each) for number, each in statements.items())
    store.keep_legs(connection, window, [leg for leg in planned if leg is not None])
    return {each.partner_id: wire.statement_payload(each) for each in statements.values()}


class _Desk:
    """One window being stated: what is read once for all its partners."""

    def __init__(
        self,
        connection: Any,
        window: SettlementWindow,
        previous: SettlementWindow | None,
        audience: str,
        signing_key_id: str,
    ) -> None:
        self.connection = connection
        self.window = window
        self.previous = previous
        self.audience = audience
        self.signing_key_id = signing_key_id
        self.sums: tuple[WindowSum, ...] = store.window_sums(connection, window)
        self.nets = nets(self.sums)
        self.tax_codes = store.tax_codes(connection)
        self.points: dict[str, ProgramPoints] = store.program_points(connection, window)
        self.streams = store.stream_ranges(connection, window)

    def state(self, partner: Partner) -> Statement:
        """Keep the partner's line file, in one pass over its lines, and make its statement."""
        window = self.window
        stream = self.streams.get(partner.number, StreamRange())
        read = store.lines_of(self.connection, window, partner, stream)
        lines = store.keep_line_file(self.connection, window, partner, read)
        # A window stated in part before the key was rotated is finished with the key that it began
        # with.
        stated = store.statement_of(self.connection, window.window_id, partner.partner_id)
        statement = statement_of(
            window,
            partner,
            self.figures(partner, lines),
            lines,
            brought_forward=self.brought_forward(partner),
            points={name: each for name, each in self.points.items() if name in partner.programs},
            stream=stream,
            audience=self.audience,
            signing_key_id=stated.signing_key_id if stated else self.signing_key_id,
        )
        if stated is not None and stated != statement:
            raise InvariantBroken(
                f"{partner.partner_id} was stated otherwise before: {stated}, now {statement}"
            )
        return statement

    def figures(self, partner: Partner, lines: LineSums) -> Figures:
        incoming = lines.totals(Role.TARGET).value
        given_back = lines.totals(Role.TARGET_REVERSED).value
        return figures(self.sums, partner.number, incoming, self.tax_codes, given_back)

    def brought_forward(self, partner: Partner) -> int:
        """What the partner's statement before carries forward; 0 for one that had none."""
        if self.previous is None:
            return 0
        name = self.previous.window_id
        statement = store.statement_of(self.connection, name, partner.partner_id)
        return statement.carried_forward if statement else 0
