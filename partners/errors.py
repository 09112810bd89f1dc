"""The one base of our errors, and every reason for which a request is refused.

Pure. Three rules are kept here:

- A reason is a name that a machine may act on. Its gRPC status code, retry class and remedy are
  fixed in `RULES`, so that two callers are never told different things for one cause.
- Text is for people and metadata for machines (lowerCamelCase keys, units in the key). Neither ever
  holds a member reference.
- MEMBER_UNKNOWN and MEMBER_INELIGIBLE read alike but for their name: a remedy that told them apart
  would turn member look-up into an oracle.

Source: the errors table of docs/protocol; codes are those of gRPC, by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class PointclearError(Exception):
    """Base of every error that Pointclear raises on purpose; anything else is a bug."""


class Retry(StrEnum):
    """What a caller may do with a refused request. The class of a reason never changes."""

    SAME_ID = "SAME_ID"
    """Nothing was recorded: send the very same request again, later."""
    NEW_ID = "NEW_ID"
    """The refusal stands for this request; a new one, with a new id, may succeed later."""
    NEVER = "NEVER"
    """The request itself is at fault: as it stands it will never succeed."""


class Reason(StrEnum):
    """Why a request was refused. Grouped by status code, as the protocol page groups them."""

    CALLER_UNKNOWN = "CALLER_UNKNOWN"
    SIGNER_NOT_CALLER = "SIGNER_NOT_CALLER"
    NOT_A_PARTY = "NOT_A_PARTY"
    ROLE_MISSING = "ROLE_MISSING"
    ACTION_REQUIRED = "ACTION_REQUIRED"
    CHECKER_IS_MAKER = "CHECKER_IS_MAKER"

    MESSAGE_TOO_LARGE = "MESSAGE_TOO_LARGE"
    ENVELOPE_MALFORMED = "ENVELOPE_MALFORMED"
    PAYLOAD_TYPE_WRONG = "PAYLOAD_TYPE_WRONG"
    KEY_UNKNOWN = "KEY_UNKNOWN"
    SIGNATURE_INVALID = "SIGNATURE_INVALID"
    AUDIENCE_WRONG = "AUDIENCE_WRONG"
    FIELD_INVALID = "FIELD_INVALID"
    AMOUNT_MISMATCH = "AMOUNT_MISMATCH"
    INCREMENT = "INCREMENT"
    LOTS_MISMATCH = "LOTS_MISMATCH"
    KEY_WEAK = "KEY_WEAK"
    POSSESSION_UNPROVEN = "POSSESSION_UNPROVEN"
    TERMS_INVALID = "TERMS_INVALID"
    BANK_FILE_REFUSED = "BANK_FILE_REFUSED"

    PARTNER_UNKNOWN = "PARTNER_UNKNOWN"
    PROGRAM_UNKNOWN = "PROGRAM_UNKNOWN"
    AGREEMENT_UNKNOWN = "AGREEMENT_UNKNOWN"
    SEGMENT_UNKNOWN = "SEGMENT_UNKNOWN"
    QUOTE_UNKNOWN = "QUOTE_UNKNOWN"
    TRANSFER_UNKNOWN = "TRANSFER_UNKNOWN"
    WINDOW_UNKNOWN = "WINDOW_UNKNOWN"
    STATEMENT_UNKNOWN = "STATEMENT_UNKNOWN"
    INVOICE_UNKNOWN = "INVOICE_UNKNOWN"
    RECONCILIATION_UNKNOWN = "RECONCILIATION_UNKNOWN"
    LINK_UNKNOWN = "LINK_UNKNOWN"
    OPERATOR_UNKNOWN = "OPERATOR_UNKNOWN"
    WITHDRAWAL_UNKNOWN = "WITHDRAWAL_UNKNOWN"
    ACTION_UNKNOWN = "ACTION_UNKNOWN"
    DISPUTE_UNKNOWN = "DISPUTE_UNKNOWN"

    MODIFIED_REQUEST = "MODIFIED_REQUEST"
    KEY_IN_USE = "KEY_IN_USE"
    ALREADY_EXISTS = "ALREADY_EXISTS"

    KEY_NOT_IN_FORCE = "KEY_NOT_IN_FORCE"
    KEY_NEEDED = "KEY_NEEDED"
    ORDER_EXPIRED = "ORDER_EXPIRED"
    ORDER_FROM_FUTURE = "ORDER_FROM_FUTURE"
    PARTNER_SUSPENDED = "PARTNER_SUSPENDED"
    CORRIDOR_CLOSED = "CORRIDOR_CLOSED"
    PROGRAM_IN_MAINTENANCE = "PROGRAM_IN_MAINTENANCE"
    AGREEMENT_NOT_IN_FORCE = "AGREEMENT_NOT_IN_FORCE"
    QUOTE_EXPIRED = "QUOTE_EXPIRED"
    QUOTE_USED = "QUOTE_USED"
    PROMOTION_EXHAUSTED = "PROMOTION_EXHAUSTED"
    LIMIT_EXCEEDED = "LIMIT_EXCEEDED"
    VELOCITY_EXCEEDED = "VELOCITY_EXCEEDED"
    COUNTERPARTY_LIMIT = "COUNTERPARTY_LIMIT"
    NET_DEBIT_CAP_EXCEEDED = "NET_DEBIT_CAP_EXCEEDED"
    LINK_REQUIRED = "LINK_REQUIRED"
    LINK_STATE = "LINK_STATE"
    LINK_COOLING = "LINK_COOLING"
    MEMBER_UNKNOWN = "MEMBER_UNKNOWN"
    MEMBER_INELIGIBLE = "MEMBER_INELIGIBLE"
    MEMBER_FROZEN = "MEMBER_FROZEN"
    NAME_MISMATCH = "NAME_MISMATCH"
    HELD_FOR_REVIEW = "HELD_FOR_REVIEW"
    CREDIT_REFUSED = "CREDIT_REFUSED"
    SETTLEMENT_ON_HOLD = "SETTLEMENT_ON_HOLD"
    ALREADY_REVERSED = "ALREADY_REVERSED"
    COUNTER_SIGNATURE_MISSING = "COUNTER_SIGNATURE_MISSING"
    WINDOW_STATE = "WINDOW_STATE"
    PERIOD_STATE = "PERIOD_STATE"
    EFFECTIVE_IN_PAST = "EFFECTIVE_IN_PAST"
    FREE_LUNCH = "FREE_LUNCH"
    ACTION_EXPIRED = "ACTION_EXPIRED"
    PARTNER_STATE = "PARTNER_STATE"
    CERTIFICATION_MISSING = "CERTIFICATION_MISSING"
    AGREEMENT_ALTERED = "AGREEMENT_ALTERED"
    AGREEMENT_STATE = "AGREEMENT_STATE"
    AGREEMENT_OVERLAPS = "AGREEMENT_OVERLAPS"
    TERMS_DIFFER = "TERMS_DIFFER"
    NOTICE_TOO_SHORT = "NOTICE_TOO_SHORT"
    REVIEW_REFUSED = "REVIEW_REFUSED"
    TRANSFER_CANCELLED = "TRANSFER_CANCELLED"
    TRANSFER_STATE = "TRANSFER_STATE"
    TRANSFER_LAPSED = "TRANSFER_LAPSED"
    REVERSAL_REFUSED = "REVERSAL_REFUSED"
    TARGET_REVERSES = "TARGET_REVERSES"
    ACCOUNT_STATE = "ACCOUNT_STATE"
    LEG_STATE = "LEG_STATE"
    COLLATERAL_NEEDED = "COLLATERAL_NEEDED"
    BREAK_STATE = "BREAK_STATE"

    RATE_LIMITED = "RATE_LIMITED"
    QUEUE_FULL = "QUEUE_FULL"
    WATCHES_EXCEEDED = "WATCHES_EXCEEDED"

    TRY_LATER = "TRY_LATER"


@dataclass(frozen=True, slots=True)
class Rule:
    """What is fixed about one reason."""

    code: str
    """Name of the gRPC status code, such as `INVALID_ARGUMENT`."""
    retry: Retry
    remedy: str
    """One sentence that tells the caller what to do next."""


_MEMBER_REMEDY = "Check the account and the program's conditions with the member, then order anew."

RULES: Mapping[Reason, Rule] = MappingProxyType(
    {
        Reason.CALLER_UNKNOWN: Rule(
            "UNAUTHENTICATED",
            Retry.NEVER,
            "Connect with the client certificate that the operator registered for you.",
        ),
        Reason.SIGNER_NOT_CALLER: Rule(
            "PERMISSION_DENIED",
            Retry.NEVER,
            "Send the statement over the channel of the partner whose key signed it.",
        ),
        Reason.NOT_A_PARTY: Rule(
            "PERMISSION_DENIED",
            Retry.NEVER,
            "Name a corridor or a statement to which you are a party.",
        ),
        Reason.ROLE_MISSING: Rule(
            "PERMISSION_DENIED",
            Retry.NEVER,
            "Ask an administrator of the coalition for the role that this action needs.",
        ),
        Reason.ACTION_REQUIRED: Rule(
            "PERMISSION_DENIED",
            Retry.NEVER,
            "Send the call as a signed operator-action through ActionService/Act.",
        ),
        Reason.CHECKER_IS_MAKER: Rule(
            "PERMISSION_DENIED",
            Retry.NEVER,
            "Have another operator who may check this call sign the same bytes.",
        ),
        Reason.MESSAGE_TOO_LARGE: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Send fewer or smaller items in one message.",
        ),
        Reason.ENVELOPE_MALFORMED: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Build the envelope by the published schema and sign exactly the bytes that you send.",
        ),
        Reason.PAYLOAD_TYPE_WRONG: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Send this statement to the call that takes its payload type.",
        ),
        Reason.KEY_UNKNOWN: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Register the key first, or sign with one that is registered for this purpose.",
        ),
        Reason.SIGNATURE_INVALID: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Sign the pre-authentication encoding with the private half of the key that you name.",
        ),
        Reason.AUDIENCE_WRONG: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Sign an order whose audience is this exchange and this environment.",
        ),
        Reason.FIELD_INVALID: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Correct the named field and send a new request.",
        ),
        Reason.AMOUNT_MISMATCH: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Work the target points out again from the agreement or quote and sign a new order.",
        ),
        Reason.INCREMENT: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Choose an amount that is a whole number of the agreement's increments.",
        ),
        Reason.LOTS_MISMATCH: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "State the source lots where the agreement inherits their expiry, and nowhere else.",
        ),
        Reason.KEY_WEAK: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Make a new Ed25519 key pair with a current tool and register that one.",
        ),
        Reason.POSSESSION_UNPROVEN: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Sign the key event with the new key as well as with a key that may register.",
        ),
        Reason.TERMS_INVALID: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Correct the named term and have both partners sign the agreement again.",
        ),
        Reason.BANK_FILE_REFUSED: Rule(
            "INVALID_ARGUMENT",
            Retry.NEVER,
            "Fetch the file from the bank again and import it whole; none of this one was booked.",
        ),
        Reason.PARTNER_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the partner id.",
        ),
        Reason.PROGRAM_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the program id.",
        ),
        Reason.AGREEMENT_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the agreement id and version, or list the agreements that you are a party to.",
        ),
        Reason.SEGMENT_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Name a segment of the agreement, or none, and sign a new order.",
        ),
        Reason.QUOTE_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Fetch a new quote and send a new order that names it.",
        ),
        Reason.TRANSFER_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the transfer id, or look the transfer up by your own reference.",
        ),
        Reason.WINDOW_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the window id, or list the settlement windows.",
        ),
        Reason.STATEMENT_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the window and partner; a statement exists once its window has closed.",
        ),
        Reason.INVOICE_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the document's id, or list the month's invoices.",
        ),
        Reason.RECONCILIATION_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the id, or list the breaks; a file is uploaded and a mapping set before they are"
            " used.",
        ),
        Reason.LINK_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the link id, or list your links.",
        ),
        Reason.OPERATOR_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the operator's name, or list the operators.",
        ),
        Reason.ACTION_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Check the action id, or list the actions.",
        ),
        Reason.DISPUTE_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "List the disputes, and name one as it is listed.",
        ),
        Reason.MODIFIED_REQUEST: Rule(
            "ALREADY_EXISTS",
            Retry.NEVER,
            "Look up what this id already stands for, and give a different request a new id.",
        ),
        Reason.KEY_IN_USE: Rule(
            "ALREADY_EXISTS",
            Retry.NEVER,
            "Make a new key pair: a key belongs to one partner, and for one purpose.",
        ),
        Reason.ALREADY_EXISTS: Rule(
            "ALREADY_EXISTS",
            Retry.NEVER,
            "Read what exists under this name, or choose another name.",
        ),
        Reason.KEY_NOT_IN_FORCE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Sign with a key that is in force now; nothing was recorded for this id.",
        ),
        Reason.KEY_NEEDED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Rotate the exchange's key for this purpose first, then revoke this one.",
        ),
        Reason.ORDER_EXPIRED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order with a later expiry time.",
        ),
        Reason.ORDER_FROM_FUTURE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Set the clock of the machine that issues orders, then send a new order.",
        ),
        Reason.PARTNER_SUSPENDED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order when the suspension has been lifted.",
        ),
        Reason.CORRIDOR_CLOSED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order when the corridor is open again.",
        ),
        Reason.PROGRAM_IN_MAINTENANCE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order when the program's maintenance is over.",
        ),
        Reason.AGREEMENT_NOT_IN_FORCE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order that names the agreement version in force now.",
        ),
        Reason.QUOTE_EXPIRED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Fetch a new quote and send a new order that names it.",
        ),
        Reason.QUOTE_USED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Fetch a new quote and send a new order that names it.",
        ),
        Reason.PROMOTION_EXHAUSTED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order at the terms without the promotion.",
        ),
        Reason.LIMIT_EXCEEDED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order within the limit, or when the limit has been raised.",
        ),
        Reason.VELOCITY_EXCEEDED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order when the period of the limit has passed.",
        ),
        Reason.COUNTERPARTY_LIMIT: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order later; the operator can tell when the other side has room again.",
        ),
        Reason.NET_DEBIT_CAP_EXCEEDED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Top up your position, then send a new order: this id stays refused after a top-up.",
        ),
        Reason.LINK_REQUIRED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Have the member link the two accounts, then send a new order that names the link.",
        ),
        Reason.LINK_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Look the link up; if it has lapsed or was ended, have the member link the accounts"
            " anew.",
        ),
        Reason.LINK_COOLING: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new order when the link's cooling period is over.",
        ),
        Reason.MEMBER_UNKNOWN: Rule("FAILED_PRECONDITION", Retry.NEW_ID, _MEMBER_REMEDY),
        Reason.MEMBER_INELIGIBLE: Rule("FAILED_PRECONDITION", Retry.NEW_ID, _MEMBER_REMEDY),
        Reason.MEMBER_FROZEN: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Ask the member to settle the matter with the program, then send a new order.",
        ),
        Reason.NAME_MISMATCH: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Check with the member that both accounts are theirs before anything else is sent.",
        ),
        Reason.HELD_FOR_REVIEW: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Look the transfer up by its id until it is decided, and send no other in its place.",
        ),
        Reason.CREDIT_REFUSED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Give the member the points back, and ask the target program why it refused before a "
            "new order is sent.",
        ),
        Reason.SETTLEMENT_ON_HOLD: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Send a new request when the hold on settlement has been lifted.",
        ),
        Reason.ALREADY_REVERSED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Look the transfer up: its reversal is on record and cannot be made twice.",
        ),
        Reason.COUNTER_SIGNATURE_MISSING: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Collect every signature that the statement needs over one payload, then send it.",
        ),
        Reason.WINDOW_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Look up the window's state and do what comes before this step.",
        ),
        Reason.PERIOD_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Do what the period's close checklist says is missing, or have the period reopened by"
            " two people.",
        ),
        Reason.EFFECTIVE_IN_PAST: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Name an instant that has not come yet: nothing changes backwards.",
        ),
        Reason.FREE_LUNCH: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Lower a rate on the loop that is named, or start after its interval; then sign anew.",
        ),
        Reason.PARTNER_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Look up the partner's state and do what comes before this step.",
        ),
        Reason.CERTIFICATION_MISSING: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Have the partner certified in a sandbox that this deployment trusts, and send that"
            " report.",
        ),
        Reason.ACTION_EXPIRED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Make a new action and have it signed again.",
        ),
        Reason.AGREEMENT_ALTERED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Tell the operator, who must check the database; nothing is converted by terms that"
            " nobody signed.",
        ),
        Reason.AGREEMENT_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Read the version's state, and do what comes before this step.",
        ),
        Reason.AGREEMENT_OVERLAPS: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Choose instants at which no other version of the corridor is in force or about to be.",
        ),
        Reason.TERMS_DIFFER: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Read the version as it stands, and sign or name exactly those bytes.",
        ),
        Reason.NOTICE_TOO_SHORT: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Name an instant that is at least the notice period ahead.",
        ),
        Reason.REVIEW_REFUSED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Give the member the points back, and ask the operator before anything else is sent.",
        ),
        Reason.TRANSFER_CANCELLED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Give the member the points back; a new order needs a new id.",
        ),
        Reason.TRANSFER_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Look the transfer up: it was decided before, and stays so.",
        ),
        Reason.REVERSAL_REFUSED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Ask the target brand: its member may have spent the points; a new request needs a new "
            "id.",
        ),
        Reason.TRANSFER_LAPSED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Give the member the points back; send a new order with a new id when the target "
            "program answers again.",
        ),
        Reason.WITHDRAWAL_UNKNOWN: Rule(
            "NOT_FOUND",
            Retry.NEVER,
            "Name a withdrawal that was asked for; `pointclear collateral list` shows them.",
        ),
        Reason.COLLATERAL_NEEDED: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "Ask for less, or again when the position owes less.",
        ),
        Reason.TARGET_REVERSES: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Ask the target brand to take the points back: it reverses the transfer and says how"
            " many they were.",
        ),
        Reason.ACCOUNT_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "List the partner's accounts: a version is approved once, and refused only until it"
            " takes effect.",
        ),
        Reason.LEG_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEW_ID,
            "List what is overdue and the pay-out files of the window or of the account, and do"
            " what comes next for this payment.",
        ),
        Reason.BREAK_STATE: Rule(
            "FAILED_PRECONDITION",
            Retry.NEVER,
            "Look the break up: a closed one opens again only when a run finds it again.",
        ),
        Reason.RATE_LIMITED: Rule(
            "RESOURCE_EXHAUSTED",
            Retry.SAME_ID,
            "Wait as long as the answer says, then send the same request again.",
        ),
        Reason.QUEUE_FULL: Rule(
            "RESOURCE_EXHAUSTED",
            Retry.SAME_ID,
            "Wait as long as the answer says, then send the same request again.",
        ),
        Reason.WATCHES_EXCEEDED: Rule(
            "RESOURCE_EXHAUSTED",
            Retry.SAME_ID,
            "End a watch that you need no longer; the place of a broken one is free within a"
            " minute.",
        ),
        Reason.TRY_LATER: Rule(
            "UNAVAILABLE",
            Retry.SAME_ID,
            "Wait a moment, then send the same request again.",
        ),
    }
)
"""The fixed facts of every reason. A test holds it complete."""

_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class Refused(PointclearError):
    """A request that is answered with a reason. Only the edge maps it to the wire."""

    def __init__(
        self,
        reason: Reason,
        field: str = "",
        text: str = "",
        metadata: Mapping[str, str] = _NO_METADATA,
    ) -> None:
        """Refuse for `reason`, at `field` (a path in the request, or empty), with a line of `text`.

        `metadata` holds facts for machines under lowerCamelCase keys with units: `capMinorUnits`.
        """
        facts = dict(metadata)
        super().__init__(reason, field, text, facts)
        self.reason = reason
        self.field = field
        self.text = text
        self.metadata: Mapping[str, str] = MappingProxyType(facts)

    def __reduce__(self) -> tuple[type["Refused"], tuple[object, ...]]:
        """Pickle as the call that made it; a read-only mapping cannot be pickled itself."""
        return type(self), self.args

    def __str__(self) -> str:
        """Reason, field and text on one line, for logs."""
        place = f" ({self.field})" if self.field else ""
        return f"{self.reason}{place}: {self.text}" if self.text else f"{self.reason}{place}"

    @property
    def code(self) -> str:
        """Name of the gRPC status code."""
        return RULES[self.reason].code

    @property
    def retry(self) -> Retry:
        """What the caller may do with the same request."""
        return RULES[self.reason].retry

    @property
    def remedy(self) -> str:
        """One sentence that tells the caller what to do next."""
        return RULES[self.reason].remedy
