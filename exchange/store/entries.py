"""Entries by the keys under which they are booked, and the postings that they resolve."""

from collections.abc import Iterable
from typing import Any

from exchange.commands import (
    AskQuote,
    Book,
    CloseWindow,
    Command,
    Conclude,
    DecideHeld,
    OpenWindow,
    Order,
    Reverse,
    TakeBack,
    Undo,
)
from exchange.fold import link_entry_key
from exchange.fold.agreements import proposal_key, signature_key, termination_key, withdrawal_key
from exchange.fold.taxes import tax_entry_key
from exchange.fold.terms import activation_key
from exchange.ledger.postings import PostingRef
from exchange.store.queries import QUERIES
from exchange.wire.records import entry_body
from partners.actions.commands import ApproveAction, ProposeAction
from partners.commands import (
    Activate,
    AddKey,
    AddPartner,
    AddTaxRate,
    CounterSign,
    Propose,
    RevokeKey,
    SetLimits,
    SetRoute,
    SetSwitches,
    Terminate,
    Withdraw,
)
from partners.operators.commands import ChangeRoles, MovePartner


def entry_key_of(command: Command) -> str:
    """The key under which a command's entry is booked, empty for orders and window steps."""
    match command:
        case AddPartner():
            return f"partner/{command.partner_id}"
        case AddKey():
            return f"key/{command.key_id}"
        case AddTaxRate():
            return tax_entry_key(command)
        case RevokeKey():
            return f"revoke-key/{command.key_id}"
        case Propose(terms=terms):
            return proposal_key(terms.agreement_id, terms.version, terms.sha256)
        case CounterSign():
            return signature_key(command)
        case Withdraw():
            return withdrawal_key(command)
        case Activate():
            return activation_key(command)
        case Terminate():
            return termination_key(command)
        case Book() | ProposeAction() | ApproveAction() | ChangeRoles() | MovePartner():
            return command.entry_key
        case SetSwitches():
            return f"switches/{command.change_id}"
        case SetLimits():
            return f"limits/{command.change_id}"
        case SetRoute():
            return f"routes/{command.change_id}"
        case (
            Order()
            | Reverse()
            | TakeBack()
            | Undo()
            | AskQuote()
            | OpenWindow()
            | CloseWindow()
            | DecideHeld()
            | Conclude()
        ):
            return ""
        case _:
            return link_entry_key(command)


def load_entries(connection: Any, commands: Iterable[Command]) -> dict[str, tuple[int, bytes]]:
    """The entries that these commands would repeat."""
    keys = [key for key in map(entry_key_of, commands) if key]
    if not keys:
        return {}
    rows = QUERIES.entries(connection, entry_keys=keys)
    return {key: (index, entry_body(bytes(record))) for key, index, record in rows}


def load_resolved(connection: Any, commands: Iterable[Command]) -> frozenset[PostingRef]:
    """Those pending postings which these commands would resolve and which were resolved before."""
    indexes = {
        posting.resolves.log_index
        for command in commands
        if isinstance(command, Book)
        for posting in command.postings
        if posting.resolves
    }
    if not indexes:
        return frozenset()
    rows = QUERIES.resolved(connection, log_indexes=sorted(indexes))
    return frozenset(PostingRef(index, place) for index, place in rows)
