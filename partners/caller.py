"""Who is calling: the channel's identity, read from the client certificate and nothing else. Pure.

The identity is the one URI name of the certificate: `pointclear://partner/<partner_id>` or
`pointclear://operator/<name>`. When the exchange calls a brand's system, it is the one with a name:
`pointclear://exchange/<audience>`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Self
from urllib.parse import quote
from uuid import UUID

from partners.errors import Reason, Refused
from partners.points import check_id

SCHEME = "pointclear"


def exchange_uri(audience: str) -> str:
    """The URI in the certificate with which an exchange calls brands' systems."""
    return f"{SCHEME}://exchange/{quote(audience)}"


def partner_uri(partner_id: str) -> str:
    """The URI in a partner's certificates, when it calls and when it is called."""
    return f"{SCHEME}://partner/{partner_id}"


def partner_host(partner_id: str) -> str:
    """The same name as DNS would write it, in the certificate of a partner's own server: gRPC holds
    a server to a DNS name and to nothing else. It is never resolved; `.internal` is nobody's.
    """
    return f"{partner_id}.partner.{SCHEME}.internal"


@dataclass(frozen=True, slots=True)
class Caller:
    """A partner or an operator behind a channel."""

    kind: Literal["partner", "operator"]
    name: str
    action_id: UUID | None = None
    """Of an operator's call that came as a signed action: which one."""

    @classmethod
    def from_uris(cls, uris: Sequence[str]) -> Self:
        """Read the certificate's URI names; raises Refused(CALLER_UNKNOWN) unless there is exactly
        one that fits.
        """
        if len(uris) != 1:
            raise Refused(
                Reason.CALLER_UNKNOWN, "", f"the certificate has {len(uris)} URI names, not one"
            )
        scheme, _, rest = uris[0].partition("://")
        kind, _, name = rest.partition("/")
        if scheme != SCHEME:
            raise Refused(Reason.CALLER_UNKNOWN, "", "the certificate's URI names nobody here")
        try:
            check_id(name, "")
        except Refused as refusal:
            raise Refused(
                Reason.CALLER_UNKNOWN, "", "the certificate's URI names nobody here"
            ) from refusal
        if kind == "partner":
            return cls("partner", name)
        if kind == "operator":
            return cls("operator", name)
        raise Refused(Reason.CALLER_UNKNOWN, "", "the certificate's URI names nobody here")

    @property
    def holder(self) -> str:
        """The name under which the caller's keys are registered."""
        return f"{self.kind}/{self.name}"

    @property
    def is_operator(self) -> bool:
        """Whether this is an operator of the coalition."""
        return self.kind == "operator"

    def require_operator(self) -> None:
        """Raise Refused(ROLE_MISSING) for a partner."""
        if not self.is_operator:
            raise Refused(Reason.ROLE_MISSING, "", "this call is an operator's")

    def require_action(self) -> UUID:
        """The id of the signed action that this call is part of; raises Refused(ROLE_MISSING) for a
        partner and Refused(ACTION_REQUIRED) for an operator's bare call.
        """
        self.require_operator()
        if self.action_id is None:
            raise Refused(Reason.ACTION_REQUIRED, "", "this call comes as a signed action only")
        return self.action_id

    def require_partner(self) -> str:
        """The partner's id; raises Refused(ROLE_MISSING) for an operator."""
        if self.is_operator:
            raise Refused(Reason.ROLE_MISSING, "", "this call is a partner's")
        return self.name
