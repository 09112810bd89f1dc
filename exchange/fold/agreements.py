"""Decides the negotiation of agreement versions, and their end. Pure but for the run that it is
given. Activation, which makes terms of them, is in `terms`.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from exchange.fold.run import Run
from exchange.outcomes import CounterSigned, Proposed, Result, Terminated, Withdrawn
from partners.agreement import Terms
from partners.commands import CounterSign, Propose, Terminate, Withdraw
from partners.envelope import ENVELOPE_BODY
from partners.errors import Reason, Refused
from partners.negotiation.proposal import Proposal

NOTICE_MIN = timedelta(days=1)
"""Terms that state no longer notice end no sooner than this."""


def proposal_key(agreement_id: str, version: int, sha256: bytes) -> str:
    """The key of a round's entry: the same bytes open a round once."""
    return f"proposal/{agreement_id}/{version}/{sha256.hex()}"


def signature_key(command: CounterSign) -> str:
    """The key of a counter-signature's entry: a brand signs the same bytes once."""
    terms = command.terms
    digest = terms.sha256.hex()
    return f"signature/{terms.agreement_id}/{terms.version}/{digest}/{command.partner_id}"


def withdrawal_key(command: Withdraw) -> str:
    """The key of a withdrawal's entry: a round is taken back once."""
    return f"withdrawal/{command.agreement_id}/{command.version}/{command.sha256.hex()}"


def termination_key(command: Terminate) -> str:
    """The key of a notice's entry: one for each end that was given."""
    until = command.effective_until
    return f"termination/{command.agreement_id}/{command.version}/{until:%Y-%m-%dT%H:%M:%S.%fZ}"


def propose(run: Run, command: Propose) -> Result:
    terms = command.terms
    entry_key = proposal_key(terms.agreement_id, terms.version, terms.sha256)
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "agreement")
    require_key(run, command.key_id)
    newest = run.proposals.get(terms.name)
    if terms.name in run.registry.agreements:
        raise state_refusal(terms, "is activated: propose the next version")
    if newest is None or newest.withdrawn:
        if command.is_counter:
            raise state_refusal(terms, "has no open proposal to counter")
    elif not newest.missing:
        raise state_refusal(terms, "is signed by all: activate it, or have it withdrawn")
    elif not command.is_counter:
        raise Refused(
            Reason.ALREADY_EXISTS,
            "agreement_id",
            f"version {terms.version} of {terms.agreement_id} was proposed with other terms:"
            " counter them, or have them withdrawn",
        )
    elif newest.proposer == command.partner_id:
        raise state_refusal(terms, "is your own proposal: withdraw it first")
    elif not {command.partner_id, newest.proposer} <= set(newest.signatories):
        raise Refused(Reason.NOT_A_PARTY, "agreement", "the proposal is between other brands")
    round_number = newest.round + 1 if newest else 1
    run.proposals[terms.name] = Proposal(
        round_number,
        command.partner_id,
        terms.sha256,
        terms.signatories,
        ((command.partner_id, command.key_id),),
        command.is_counter,
    )
    effect = Proposed(command, round_number)
    return run.enter(entry_key, ENVELOPE_BODY, command.body, effect=effect)


def counter_sign(run: Run, command: CounterSign) -> Result:
    terms = command.terms
    entry_key = signature_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "agreement")
    require_key(run, command.key_id)
    newest = open_proposal(run, terms.name, terms.sha256)
    if command.partner_id not in newest.missing:
        raise state_refusal(terms, "has your signature: another brand counter-signs")
    signature = (command.partner_id, command.key_id)
    run.proposals[terms.name] = replace(newest, signatures=(*newest.signatures, signature))
    effect = CounterSigned(command, newest.round)
    return run.enter(entry_key, ENVELOPE_BODY, command.body, effect=effect)


def withdraw(run: Run, command: Withdraw) -> Result:
    entry_key = withdrawal_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "withdrawal")
    require_key(run, command.key_id)
    name = (command.agreement_id, command.version)
    newest = open_proposal(run, name, command.sha256)
    if name in run.registry.agreements:
        raise Refused(
            Reason.AGREEMENT_STATE, "withdrawal", "the version is activated: terminate it"
        )
    if newest.proposer != command.partner_id:
        raise Refused(
            Reason.AGREEMENT_STATE, "withdrawal", "the proposal is another brand's: counter it"
        )
    run.proposals[name] = replace(newest, withdrawn=True)
    effect = Withdrawn(command, newest.round)
    return run.enter(entry_key, ENVELOPE_BODY, command.body, effect=effect)


def terminate(run: Run, command: Terminate) -> Result:
    entry_key = termination_key(command)
    if entry_key in run.entries:
        return run.same_body(entry_key, command.body, "effective_until")
    name = (command.agreement_id, command.version)
    force = run.registry.agreements.get(name)
    if force is None:
        raise Refused(
            Reason.AGREEMENT_UNKNOWN, "agreement_id", f"version {name[1]} was never activated"
        )
    if command.key_id:
        require_key(run, command.key_id)
        if command.sha256 != force.terms.sha256:
            raise Refused(Reason.TERMS_DIFFER, "agreement_sha256", "other terms are in force")
    until = command.effective_until
    check_notice(force.terms, until, run.now)
    if until <= force.effective_from:
        raise Refused(
            Reason.FIELD_INVALID,
            "effective_until",
            f"the version begins at {force.effective_from.isoformat()}",
        )
    if force.effective_until is not None and force.effective_until <= until:
        raise Refused(
            Reason.AGREEMENT_STATE,
            "effective_until",
            f"the version ends at {force.effective_until.isoformat()} already",
        )
    run.registry = run.registry.with_end(name, until)
    effect = Terminated(run.registry.agreements[name])
    return run.enter(entry_key, command.body_type, command.body, effect=effect)


def check_notice(terms: Terms, until: datetime, now: datetime) -> None:
    """Raise Refused(EFFECTIVE_IN_PAST or NOTICE_TOO_SHORT) for an end that comes too soon."""
    if until <= now:
        raise Refused(Reason.EFFECTIVE_IN_PAST, "effective_until", f"it is {now.isoformat()}")
    earliest = now + notice_of(terms)
    if until < earliest:
        raise Refused(
            Reason.NOTICE_TOO_SHORT,
            "effective_until",
            f"with the notice of these terms the end is {earliest.isoformat()} at the earliest",
            {"earliest": earliest.isoformat()},
        )


def notice_of(terms: Terms) -> timedelta:
    """How long before its end a version must be terminated."""
    return max(timedelta(days=terms.notice_days), NOTICE_MIN)


def open_proposal(run: Run, name: tuple[str, int], sha256: bytes) -> Proposal:
    """The newest proposal of a version; raises Refused(AGREEMENT_UNKNOWN, AGREEMENT_STATE or
    TERMS_DIFFER) unless it is open and has these bytes.
    """
    newest = run.proposals.get(name)
    if newest is None:
        raise Refused(
            Reason.AGREEMENT_UNKNOWN, "agreement_id", f"there is no version {name[1]} of {name[0]}"
        )
    if newest.sha256 != sha256:
        raise Refused(
            Reason.TERMS_DIFFER,
            "agreement",
            f"the newest proposal has other bytes, with SHA-256 {newest.sha256.hex()}",
            {"sha256": newest.sha256.hex()},
        )
    if newest.withdrawn:
        raise Refused(Reason.AGREEMENT_STATE, "agreement", "the proposal was withdrawn")
    return newest


def require_key(run: Run, key_id: str) -> None:
    """Raise Refused(KEY_NOT_IN_FORCE) unless the key is good at this index and time."""
    key = run.registry.keys.get(key_id)
    if key is None or not key.in_force(run.index, run.now):
        raise Refused(Reason.KEY_NOT_IN_FORCE, "signatures", f"key {key_id} is not in force")


def state_refusal(terms: Terms, text: str) -> Refused:
    """The refusal of a step for which the version is not in the state."""
    return Refused(
        Reason.AGREEMENT_STATE,
        "agreement",
        f"version {terms.version} of {terms.agreement_id} {text}",
    )
