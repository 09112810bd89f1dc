"""The demo's two operators. Whatever takes two people is signed by both: the first makes it, the
second counter-signs the very bytes and sends them over a channel of its own.
"""

import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc

from exchange.cli.connection import Connection, connection_over, open_channel
from exchange.cli.keys.key_events import registration
from exchange.cli.partners.action_commands import trail
from exchange.cli.partners.onboarding import KEY_LIFETIME
from exchange.cli.profile import Profile, load_profile
from exchange.cli.signed_actions import ActingChannel, Desk, act_request, stated
from partners.actions.rules import RULES
from partners.envelope import KEY_EVENT, counter_sign, sign
from partners.keys import Purpose, SeedSigner, Signer
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.partners.v1 import action_service_pb2 as pb
from pointclear.partners.v1.partners_service_pb2 import RegisterKeyRequest

MAKER, CHECKER = OPERATORS = ("ada", "ben")
REASON = "the demo"
"""Why, for the trail."""


@dataclass(frozen=True, slots=True)
class Operators:
    """Their connections."""

    together: Connection
    """The maker's, on which the checker counter-signs whatever takes two."""
    maker: Connection
    """The maker alone: what takes two waits."""


@dataclass(frozen=True, slots=True)
class Acted:
    """How often a call was signed for, by whom, and what became of it."""

    call: str
    maker: str
    checker: str
    """Empty where nobody counter-signed."""
    state: str
    count: int


class BothDesk(Desk):
    """Where a maker signs, and a checker beside it."""

    def __init__(self, maker: Profile, checker: Profile) -> None:
        """Both sign with their own keys. Raises KeyFileError."""
        super().__init__(maker, REASON)
        self._checker = checker.signer(Purpose.OPERATOR)

    def signed(self, method: str, request: bytes) -> pb.ActRequest:
        """A request that both signed for."""
        made = super().signed(method, request)
        return act_request(counter_sign(self._checker, envelope_from_proto(made.action)), request)


class OperatorsChannel(ActingChannel):
    """A maker's channel; what takes two goes over the checker's, under both signatures: an action
    is sent by whoever signed it last.
    """

    def __init__(
        self, channel: grpc.Channel, maker: Profile, second: grpc.Channel, checker: Profile
    ) -> None:
        """`channel` is the maker's, `second` the checker's."""
        super().__init__(channel, Desk(maker, REASON))
        self._together = ActingChannel(second, BothDesk(maker, checker))

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        """The method, signed for as its rule says."""
        rule = RULES.get(method.removeprefix("/"))
        if rule is not None and rule.checker is not None:
            return self._together.unary_unary(method, *serializers, **options)
        return super().unary_unary(method, *serializers, **options)


@contextmanager
def both_operators(data_dir: Path, address: str) -> Iterator[Operators]:
    """Their connections, which close at the end."""
    maker, checker = (load_profile(data_dir / "operators" / name, address) for name in OPERATORS)
    with open_channel(maker) as first, open_channel(checker) as second:
        yield Operators(
            connection_over(maker, OperatorsChannel(first, maker, second, checker)),
            connection_over(maker, ActingChannel(first, Desk(maker, REASON))),
        )


def second_key(own: Connection) -> Signer:
    """Register one more key of an operator's own, and give it; it is in no file. Raises Failed."""
    profile, key = own.profile, SeedSigner(secrets.token_bytes(32))
    payload = registration(
        profile.audience,
        f"operator/{profile.caller.name}",
        Purpose.OPERATOR,
        key.public_key,
        datetime.now(UTC),
        KEY_LIFETIME,
    )
    event = counter_sign(profile.signer(Purpose.OPERATOR), sign(key, KEY_EVENT, payload))
    request = RegisterKeyRequest(key_event=envelope_to_proto(event))
    own.call(own.partners.RegisterKey, request)
    return key


def approve(own: Connection, signer: Signer, action_id: bytes) -> pb.ActResponse:
    """Counter-sign an action that waits, and send it. Raises Failed."""
    fetched = own.call(own.actions.GetAction, pb.GetActionRequest(action_id=action_id)).action
    signed = counter_sign(signer, envelope_from_proto(fetched.envelope))
    return own.call(own.actions.Act, act_request(signed, fetched.request))


def read_trail(own: Connection) -> tuple[Acted, ...]:
    """What operators did, by call and signatures."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for action in trail(own):
        payload = stated(action.envelope.payload)
        state = pb.ActionState.Name(action.state).removeprefix("ACTION_STATE_")
        call = payload.method.rpartition("/")[2]
        found[call, payload.operator, action.checker, state] += 1
    return tuple(Acted(*key, count) for key, count in sorted(found.items()))
