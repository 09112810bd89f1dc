"""A channel on which whatever an operator changes travels as a signed action.

Stubs are made from it as from any channel. A call that takes no action goes its usual way. Any
other is signed with the profile's key, sent through `ActionService/Act`, and answered with the
call's own response; its errors are the call's own too.

An action that waits for a second operator is kept in the profile, under `actions/`, with its
request. The same call made again sends the very same bytes, and so gets its answer once somebody
has approved it. It is the same call if it asks for the same: an id that the client makes anew for
each (`change_id`) does not count.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import uuid_utils
from google.protobuf.message import Message

from exchange.cli.failure import ExitCode, Failed, Failure
from exchange.cli.files import PRIVATE_MODE, make_directory, read_file, write_new
from exchange.cli.profile import Profile
from partners.actions.rules import RULES, needs_action
from partners.envelope import OPERATOR_ACTION, Envelope, sign
from partners.keys import Purpose, Signer
from partners.wire import envelope_to_proto, time_to_proto
from pointclear.partners.v1 import action_service_pb2 as pb
from pointclear.partners.v1.action_service_pb2_grpc import ActionServiceStub
from pointclear.partners.v1.operator_action_pb2 import OperatorAction

BACKDATED = timedelta(seconds=20)
"""Actions are good from a little before now, for an exchange whose clock is behind."""
VALIDITY = timedelta(hours=1)
TWO_PERSON_VALIDITY = timedelta(days=1)
"""Long enough for a second operator to be found."""
WAITS = "WAITS"
"""The reason given when an action was recorded and waits for a second operator."""
NOT_ANSWERED = frozenset(
    {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.INTERNAL,
    }
)
"""Codes after which the same action may yet get another answer."""


@dataclass(slots=True)
class Desk:
    """Who signs actions, for which exchange, and why."""

    profile: Profile
    reason: str = ""
    _signer: Signer | None = field(default=None, repr=False)

    def signed(self, method: str, request: bytes) -> pb.ActRequest:
        """A request signed for, with a new id. Raises KeyFileError."""
        now = datetime.now(UTC)
        self._signer = self._signer or self.profile.signer(Purpose.OPERATOR)
        payload = OperatorAction(
            audience=self.profile.audience,
            action_id=uuid_utils.uuid7().bytes,
            operator=self.profile.caller.name,
            method=method,
            request_sha256=hashlib.sha256(request).digest(),
            reason=self.reason,
            issued_at=time_to_proto(now - BACKDATED),
            expires_at=time_to_proto(now + validity_of(method)),
        ).SerializeToString(deterministic=True)
        return act_request(sign(self._signer, OPERATOR_ACTION, payload), request)

    def kept(self, call: str) -> pb.ActRequest | None:
        """What was sent for this very call and waits for a second operator. Raises FileError."""
        path = self._path(call)
        return pb.ActRequest.FromString(read_file(path)) if path.exists() else None

    def keep(self, call: str, sent: pb.ActRequest) -> None:
        """Keep an action that waits. Raises FileError."""
        make_directory(self._path(call).parent)
        self.forget(call)
        write_new(self._path(call), sent.SerializeToString(), PRIVATE_MODE)

    def forget(self, call: str) -> None:
        """The action has its answer, or will never have one."""
        self._path(call).unlink(missing_ok=True)

    def _path(self, call: str) -> Path:
        return self.profile.directory / "actions" / call


class ActingChannel(grpc.Channel):
    """A channel of an operator. It closes when the one that it wraps does."""

    def __init__(self, channel: grpc.Channel, desk: Desk) -> None:
        self._channel = channel
        self._desk = desk
        self._actions = ActionServiceStub(channel)

    def unary_unary(self, method: str, *serializers: Any, **options: Any) -> Any:
        """The method, signed for where it changes something."""
        plain: Any = self._channel.unary_unary(method, *serializers, **options)
        name = method.removeprefix("/")
        if not needs_action(name):
            return plain
        serialise, parse = options["request_serializer"], options["response_deserializer"]
        return partial(self._act, name, serialise, parse)

    def _act(
        self,
        method: str,
        serialise: Callable[[Any], bytes],
        parse: Callable[[bytes], Any],
        request: Any,
        timeout: float | None = None,
        **options: Any,
    ) -> Any:
        desk, call = self._desk, name_of_call(method, request)
        act: Any = self._actions.Act
        send = partial(act, timeout=timeout, **options)
        kept = desk.kept(call)
        sent = kept or desk.signed(method, serialise(request))
        try:
            answer = send(sent)
            if kept and answer.state == pb.ACTION_STATE_PENDING and has_lapsed(kept):
                sent = desk.signed(method, serialise(request))
                answer = send(sent)
        except grpc.RpcError as error:
            if kept and is_an_answer(error):
                desk.forget(call)
            raise
        if answer.state == pb.ACTION_STATE_PENDING:
            desk.keep(call, sent)
            raise waiting(sent)
        if kept:
            desk.forget(call)
        return parse(answer.response)

    def unary_stream(self, *arguments: Any, **options: Any) -> Any:
        """As the channel that it wraps."""
        return self._channel.unary_stream(*arguments, **options)

    def stream_unary(self, *arguments: Any, **options: Any) -> Any:
        """As the channel that it wraps."""
        return self._channel.stream_unary(*arguments, **options)

    def stream_stream(self, *arguments: Any, **options: Any) -> Any:
        """As the channel that it wraps."""
        return self._channel.stream_stream(*arguments, **options)

    def subscribe(self, callback: Any, try_to_connect: bool | None = False) -> None:
        """As the channel that it wraps."""
        self._channel.subscribe(callback, try_to_connect or False)

    def unsubscribe(self, callback: Any) -> None:
        """As the channel that it wraps."""
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        """Close the channel that it wraps."""
        self._channel.close()

    def __enter__(self) -> "ActingChannel":
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def validity_of(method: str) -> timedelta:
    """How long an action of this method may be approved."""
    return TWO_PERSON_VALIDITY if RULES[method].checker else VALIDITY


def is_an_answer(error: object) -> bool:
    """Whether the same action will never be answered otherwise."""
    return isinstance(error, grpc.Call) and error.code() not in NOT_ANSWERED


def act_request(action: Envelope, request: bytes) -> pb.ActRequest:
    """What is sent."""
    return pb.ActRequest(action=envelope_to_proto(action), request=request)


def name_of_call(method: str, request: Message) -> str:
    """The same for calls that ask for the same."""
    asked = type(request)()
    asked.CopyFrom(request)
    if "change_id" in asked.DESCRIPTOR.fields_by_name:
        asked.ClearField("change_id")
    content = method.encode() + b"\0" + asked.SerializeToString(deterministic=True)
    return hashlib.sha256(content).hexdigest()[:32]


def has_lapsed(sent: pb.ActRequest) -> bool:
    """Whether nobody can approve it any more."""
    return stated(sent.action.payload).expires_at.ToDatetime(UTC) <= datetime.now(UTC)


def stated(payload: bytes) -> OperatorAction:
    """What an action's payload says."""
    return OperatorAction.FromString(payload)


def waiting(sent: pb.ActRequest) -> Failed:
    """What ends a command whose action waits for a second operator: nothing was changed yet."""
    action_id = UUID(bytes=stated(sent.action.payload).action_id)
    return Failed(
        Failure(
            ExitCode.WAITS,
            WAITS,
            f"action {action_id} is recorded and waits for a second operator",
            f"Have one run `pointclear actions approve {action_id}`, then repeat this command.",
            metadata={"actionId": str(action_id)},
        )
    )
