"""The coalition of every course: two brands that are told of credits, of which one confirms each
where the source is `grocery`, and has promised to honour all from the other.
"""

from datetime import timedelta
from functools import cache
from uuid import UUID

from exchange.commands import Command, Order
from exchange.fold import State
from partners.keys import Purpose
from partners.routes.route import Route, RouteKind
from pointclear.partners.v1 import agreement_pb2
from tests import factories as make
from tests.simulation.plan import CONFIRMED, PROMISED

ANSWER_WITHIN = timedelta(minutes=1)
SIGNERS = {
    brand: (make.order_signer(brand), make.signer(f"second/{brand}", Purpose.ORDERS))
    for brand in ("fuel", "deli")
}
"""The key that a brand signs with, and the one after it."""
CORRIDORS = {
    ("fuel", CONFIRMED): "grocery",
    ("fuel", PROMISED): "deli",
    ("deli", CONFIRMED): "grocery",
    ("deli", PROMISED): "fuel",
}
"""The source of transfers to a target by its mode."""
_AGREEMENTS = {
    (source, target): make.agreement_payload(
        source,
        target,
        version=3,
        credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED
        if mode == CONFIRMED
        else agreement_pb2.CREDIT_MODE_GUARANTEED,
    )
    for (target, mode), source in CORRIDORS.items()
}
FOUNDING: tuple[Command, ...] = (
    *make.founding(),
    *(command for payload in _AGREEMENTS.values() for command in make.in_force(payload)),
    *(
        make.add_key(
            f"partner/{brand}",
            Purpose.ORDERS,
            key_id=second.key_id,
            public_key=second.public_key,
            body=second.key_id.encode(),
        )
        for brand, (_, second) in SIGNERS.items()
    ),
    make.set_route(1, Route("fuel", RouteKind.GRPC, "fuel.test:443", answer_within=ANSWER_WITHIN)),
    make.set_route(2, Route("deli", RouteKind.PULL, answer_within=ANSWER_WITHIN)),
)
"""What makes the coalition of every course."""


@cache
def founded() -> State:
    """The coalition at the beginning."""
    return make.a_state(*FOUNDING)


@cache
def order_of(number: int, target: str, mode: str, member: int) -> Order:
    """The order of a transfer; its points tell the member."""
    source = CORRIDORS[target, mode]
    return make.an_order(
        number,
        make.terms_of(_AGREEMENTS[source, target]),
        source_points=100 * member,
        target_member=member_of(member),
    )


def member_of(number: int) -> str:
    """A member's reference."""
    return f"member-{number}"


def number_of(transfer_id: UUID) -> int:
    """The number of a transfer in its plan."""
    return transfer_id.int & 0xFFFF
