"""The heart of the exchange: a pure function from a state and commands to outcomes and a new state.

Rules kept here:

- Commands are decided strictly in their order, each seeing the effect of those before it, so that a
  batch of n is the same as n batches of one.
- A repeat is answered with what was answered first and writes nothing.
- A refused order is recorded from the moment its signer's key is known to be in force; before that
  nothing is.
- Every outcome that writes takes the next log index, so indexes have no gap and their order is the
  order of commit.
- The books refuse by the balances' bounds; a refused entry leaves every balance as it was.
"""

from collections.abc import Iterable
from datetime import datetime

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
from exchange.fold.agreements import counter_sign, propose, terminate, withdraw
from exchange.fold.keys import add_key, revoke_key
from exchange.fold.life import move_partner
from exchange.fold.limits import set_limits, set_route, set_switches
from exchange.fold.links import decide_link, link_entry_key
from exchange.fold.operators import approve_action, change_roles, propose_action
from exchange.fold.orders import transfer
from exchange.fold.quotes import ask_quote
from exchange.fold.reservations import conclude
from exchange.fold.reversals import reverse
from exchange.fold.review import decide_held
from exchange.fold.run import Run
from exchange.fold.state import (
    NO_LIMITS,
    Cell,
    Folded,
    InvariantBroken,
    Limits,
    State,
    Tally,
)
from exchange.fold.taking_back import take_back, undo
from exchange.fold.taxes import add_tax_rate
from exchange.fold.terms import activate, add_partner
from exchange.fold.windows import book, close_window, open_window, window_id
from exchange.outcomes import Result
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
from partners.errors import Refused
from partners.operators.commands import ChangeRoles, MovePartner

__all__ = [
    "NO_LIMITS",
    "Cell",
    "Folded",
    "InvariantBroken",
    "Limits",
    "State",
    "Tally",
    "fold",
    "link_entry_key",
    "window_id",
]


def fold(
    state: State, commands: Iterable[Command], now: datetime, limits: Limits = NO_LIMITS
) -> Folded:
    """Decide `commands` in their order at the clock reading `now`."""
    run = Run(state, max(now, state.recorded_at), limits)
    run.release_lapsed()
    results = tuple(decide(run, command) for command in commands)
    return Folded(
        run.state_after(),
        results,
        tuple(run.outcomes),
        run.steps,
        tuple(run.alerts),
        run.forced,
    )


def decide(run: Run, command: Command) -> Result:
    """Dispatch one command; a Refused that is returned was not recorded."""
    try:
        match command:
            case Order():
                return transfer(run, command)
            case TakeBack():
                return take_back(run, command)
            case Undo():
                return undo(run, command)
            case Reverse():
                return reverse(run, command)
            case AddPartner():
                return add_partner(run, command)
            case AddKey():
                return add_key(run, command)
            case AddTaxRate():
                return add_tax_rate(run, command)
            case RevokeKey():
                return revoke_key(run, command)
            case Propose():
                return propose(run, command)
            case CounterSign():
                return counter_sign(run, command)
            case Withdraw():
                return withdraw(run, command)
            case Activate():
                return activate(run, command)
            case Terminate():
                return terminate(run, command)
            case OpenWindow():
                return open_window(run, command)
            case CloseWindow():
                return close_window(run, command)
            case Book():
                return book(run, command)
            case SetSwitches():
                return set_switches(run, command)
            case SetLimits():
                return set_limits(run, command)
            case SetRoute():
                return set_route(run, command)
            case ProposeAction():
                return propose_action(run, command)
            case ApproveAction():
                return approve_action(run, command)
            case ChangeRoles():
                return change_roles(run, command)
            case MovePartner():
                return move_partner(run, command)
            case Conclude():
                return conclude(run, command)
            case DecideHeld():
                return decide_held(run, command)
            case AskQuote():
                return ask_quote(run, command)
            case _:
                return decide_link(run, command)
    except Refused as refusal:
        return refusal
