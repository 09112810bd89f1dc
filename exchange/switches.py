"""Whether the partners' states and the switches let a transfer pass. Pure.

A brand that is not live is answered like one whose sending or receiving is switched off: which of
them it is, is the brand's own affair.

The order of the checks is part of the protocol: the source may send, the target may receive, the
corridor is open, both programs are in service, nobody's settlement is on hold.
"""

from partners.errors import Reason, Refused
from partners.life import may_trade
from partners.limits.values import PartnerSwitches
from partners.registry import Registry


def check_switches(registry: Registry, source: str, target: str) -> None:
    """Raise Refused (PARTNER_SUSPENDED, CORRIDOR_CLOSED, PROGRAM_IN_MAINTENANCE or
    SETTLEMENT_ON_HOLD) unless points of the program `source` may become points of `target`, both of
    which are registered.
    """
    check_states(registry, source, target)
    set_to = registry.restraints
    if not (set_to.partner_switches or set_to.corridor_switches or set_to.program_switches):
        return
    sender = switches_of(registry, source)
    receiver = switches_of(registry, target)
    if sender.sending_stopped:
        raise may_not_send()
    if receiver.receiving_stopped:
        raise may_not_receive()
    corridor = set_to.corridor_switches.get((source, target))
    if corridor is not None and corridor.closed:
        raise Refused(Reason.CORRIDOR_CLOSED, "", "the corridor is closed")
    for field, program in (("source_program", source), ("target_program", target)):
        switches = set_to.program_switches.get(program)
        if switches is not None and switches.in_maintenance:
            raise Refused(Reason.PROGRAM_IN_MAINTENANCE, field, f"{program} is in maintenance")
    for field, switched in (("source_program", sender), ("target_program", receiver)):
        if switched.settlement_on_hold:
            raise Refused(Reason.SETTLEMENT_ON_HOLD, field, "its brand's settlement is on hold")


def check_quoting(registry: Registry, source: str, target: str) -> None:
    """Raise what `check_switches` raises, or Refused(PARTNER_SUSPENDED) where the source gets no
    quotes.
    """
    check_switches(registry, source, target)
    if switches_of(registry, source).quoting_stopped:
        raise Refused(Reason.PARTNER_SUSPENDED, "source_program", "your quoting is stopped")


def check_states(registry: Registry, source: str, target: str) -> None:
    """Raise Refused(PARTNER_SUSPENDED) unless both brands are at a point in their life at which
    they trade.
    """
    if not may_trade(registry.partner_of_program(source).state, registry.environment):
        raise may_not_send()
    if not may_trade(registry.partner_of_program(target).state, registry.environment):
        raise may_not_receive()


def may_not_send() -> Refused:
    """What the source is told."""
    return Refused(Reason.PARTNER_SUSPENDED, "source_program", "your sending is stopped")


def may_not_receive() -> Refused:
    """What the source is told of the target."""
    return Refused(Reason.PARTNER_SUSPENDED, "target_program", "the target brand may not receive")


def switches_of(registry: Registry, program: str) -> PartnerSwitches:
    """The switches of a registered program's brand."""
    partner_id = registry.programs[program]
    found = registry.restraints.partner_switches.get(partner_id)
    return found or PartnerSwitches(partner_id)
