"""Loads what a batch is decided against and writes what it came to. SQL is in
`ledger/sequencer.sql`.

All functions take the sequencer's psycopg2 connection; those that read or write come between
`begin` and `commit`.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from exchange import wire
from exchange.commands import (
    Activated,
    Answer,
    AskQuote,
    Book,
    Booked,
    CloseWindow,
    Command,
    CounterSigned,
    DecideHeld,
    Held,
    KeyRevoked,
    LinkChanged,
    LinkFrozen,
    LinksRequired,
    MemberErased,
    OpenWindow,
    Order,
    Outcome,
    PartnerAdded,
    PartnerMoved,
    Proposed,
    RolesChanged,
    TaxRateAdded,
    Terminated,
    Verdict,
    Window,
    WindowClosed,
    WindowOpened,
    WindowStep,
    Withdrawn,
)
from exchange.day_limits import DayTally, is_limited, member_subjects, subjects_of
from exchange.fold import Cell, Folded, State, Tally, link_entry_key, window_id
from exchange.fold.agreements import (
    proposal_key,
    signature_key,
    termination_key,
    withdrawal_key,
)
from exchange.fold.taxes import tax_entry_key
from exchange.fold.terms import activation_key
from exchange.ledger.accounts import (
    HubAccount,
    PointsAccount,
    hub_account,
    points_account,
    position_account,
    tax_account,
)
from exchange.ledger.array_literal import array_literal
from exchange.ledger.postings import Balance, Code, MoneyCell, Phase, Posting, PostingRef
from exchange.log.merkle import Frontier
from exchange.promotions import PromotionKey
from exchange.quotes.quote import Quote
from exchange.quotes.wire import quote_from_payload
from exchange.rows import rows_of
from exchange.seal import Sealed, StreamHead
from exchange.transfer_postings import funder_account
from partners.actions import store as actions
from partners.actions.commands import ApproveAction, ProposeAction
from partners.agreement import Terms
from partners.commands import (
    Activate,
    AddKey,
    AddPartner,
    AddTaxRate,
    CounterSign,
    Propose,
    RevokeKey,
    SetLimits,
    SetSwitches,
    Terminate,
    Withdraw,
)
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    PartnerLimits,
    PartnerSwitches,
    ProgramLimits,
    ProgramSwitches,
)
from partners.links.commands import ConfirmLink, EraseMember, FreezeLink, RevokeLink, StartLink
from partners.links.link import Link, LinkMember
from partners.links.store import link_of_row
from partners.negotiation.proposal import Proposal
from partners.negotiation.store import proposal_of
from partners.operators.commands import ChangeRoles, MovePartner
from partners.queries import load_queries
from partners.registry import RegisteredKey, Registry
from partners.store import utc

LEDGER = Path(__file__).parent / "ledger"
QUERIES = load_queries(LEDGER / "sequencer.sql")


@dataclass(frozen=True, slots=True)
class Head:
    """The head row."""

    next_index: int
    frontier: Frontier
    recorded_at: datetime
    terms_revision: int
    quote_changes: int


def prepare(connection: Any) -> None:
    """Prepare the statements of every batch on a connection of the sequencer's own, which commits
    nothing by itself: `begin` and `commit` say where a transaction starts and ends.
    """
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute((LEDGER / "prepared.sql").read_text(encoding="utf-8"))


def begin(connection: Any, ids: Sequence[UUID]) -> tuple[Head, dict[UUID, Answer]]:
    """Begin a transaction and take this process's turn, after the others'; one round trip.

    Returns the head, and what these ids were answered with before.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "BEGIN; EXECUTE lock_head; EXECUTE read_head (%s)",
            [array_literal([str(each) for each in ids])],
        )
        rows = cursor.fetchall()
    index, frontier, recorded_at, revision, quotes = rows[0][:5]
    head = Head(index, Frontier.from_bytes(bytes(frontier)), utc(recorded_at), revision, quotes)
    return head, dict(_answer(*row[5:]) for row in rows if row[5] is not None)


def _answer(
    transfer_id: str,
    partner_id: str,
    digest: memoryview,
    log_index: int,
    payload: memoryview,
    key_id: str,
    signature: memoryview,
) -> tuple[UUID, Answer]:
    order = wire.stored_order(bytes(payload), key_id, bytes(signature))
    return UUID(transfer_id), Answer(partner_id, bytes(digest), log_index, order)


# Reading


def load_entries(connection: Any, commands: Iterable[Command]) -> dict[str, tuple[int, bytes]]:
    """The entries that these commands would repeat."""
    keys = [key for key in map(entry_key_of, commands) if key]
    if not keys:
        return {}
    rows = QUERIES.entries(connection, entry_keys=keys)
    return {key: (index, wire.entry_body(bytes(record))) for key, index, record in rows}


def load_windows(connection: Any, commands: Iterable[Command]) -> dict[str, Window]:
    """Every open window, and those that the commands name."""
    rows = QUERIES.windows(connection, window_ids=[*map(window_named, commands)])
    return {row[1]: Window(row[0], row[1], row[2], row[3], row[4], row[5], row[6]) for row in rows}


def load_sums(connection: Any, commands: Iterable[Command]) -> dict[Cell, int]:
    """The money sums of the windows that these commands close."""
    closing = [each.window_id for each in commands if isinstance(each, CloseWindow)]
    if not closing:
        return {}
    return {
        (number, MoneyCell(party, counterparty, Code(code), tax)): amount
        for number, party, counterparty, code, tax, amount in QUERIES.window_money(
            connection, window_ids=closing
        )
    }


def load_balances(connection: Any, accounts: Iterable[int] | None) -> dict[int, Balance]:
    """These accounts' balances, or all."""
    if accounts is None:
        rows = QUERIES.all_balances(connection)
    else:
        numbers = list(accounts)
        rows = QUERIES.balances(connection, account_numbers=numbers) if numbers else ()
    return {row[0]: Balance(*row[1:]) for row in rows}


def load_tallies(connection: Any) -> dict[str, Tally]:
    """Every partner's recorded refusals."""
    return {row[0]: Tally(row[1], row[2]) for row in QUERIES.tallies(connection)}


def load_held(connection: Any, commands: Iterable[Command]) -> dict[UUID, Held]:
    """The transfers that these commands decide, if they were ever held."""
    ids = [str(each.transfer_id) for each in commands if isinstance(each, DecideHeld)]
    if not ids:
        return {}
    rows = list(QUERIES.held(connection, transfer_ids=ids))
    pending: dict[int, list[Posting]] = {row[1]: [] for row in rows}
    for index, code, debit, credit, amount, phase in QUERIES.postings_of(
        connection, log_indexes=sorted(pending)
    ):
        pending[index].append(Posting(Code(code), debit, credit, amount, Phase(phase)))
    held = {}
    for transfer_id, index, recorded_at, record, kept, verdict, decided_index in rows:
        facts = json.loads(kept)
        held[UUID(str(transfer_id))] = Held(
            index,
            utc(recorded_at),
            wire.held_order(bytes(record), facts["segment"]),
            tuple(pending[index]),
            tuple((subject, day, amount) for subject, day, amount in facts["counted"]),
            tuple(facts["promotions"]),
            Verdict(verdict) if verdict else None,
            decided_index,
        )
    return held


def load_day_tallies(
    connection: Any,
    registry: Registry,
    secret: bytes,
    links: Mapping[UUID, Link],
    held: Mapping[UUID, Held],
    commands: Sequence[Command],
) -> dict[str, DayTally]:
    """What was counted of everything under which these commands may be limited."""
    limits_may_come = any(isinstance(each, SetLimits | Activate) for each in commands)
    subjects = {
        subject
        for each in commands
        if isinstance(each, Order) and (limits_may_come or is_limited(registry, each))
        for subject in subjects_of(registry, secret, each, members_named(each, links, commands))
    }
    subjects |= {subject for each in held.values() for subject, _day, _amount in each.counted}
    if not subjects:
        return {}
    rows = QUERIES.day_tallies(connection, subjects=sorted(subjects))
    return {subject: DayTally(*tally) for subject, *tally in rows}


def load_corridor_tallies(connection: Any, terms: Terms) -> dict[str, DayTally]:
    """What was counted of a corridor, its sender and its target program."""
    source, target = terms.source_program, terms.target_program
    subjects = [
        CorridorLimits(source, target).subject,
        PartnerLimits(terms.source_partner).subject,
        ProgramLimits(target).subject,
    ]
    rows = QUERIES.day_tallies(connection, subjects=subjects)
    return {subject: DayTally(*tally) for subject, *tally in rows}


def members_named(
    order: Order, links: Mapping[UUID, Link], commands: Iterable[Command]
) -> list[tuple[str, str]]:
    """The members of source and target program whom an order may be for: its own, or those of its
    link, which the batch itself may bring in.
    """
    if order.link_id is None:
        return [(order.source_member, order.target_member)]
    known = dict(links[order.link_id].members) if order.link_id in links else {}
    for each in commands:
        if isinstance(each, StartLink | ConfirmLink) and each.link_id == order.link_id:
            known.setdefault(each.member.program, each.member.member)
    return [(known.get(order.source_program, ""), known.get(order.target_program, ""))]


def load_member_secret(connection: Any) -> bytes:
    """The secret under which members are counted."""
    return bytes(QUERIES.member_secret(connection))


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


def load_promotion_points(
    connection: Any, names: Iterable[tuple[str, int]]
) -> dict[PromotionKey, int]:
    """The bonus points that the promotions of these agreement versions have granted."""
    wanted = sorted(names)
    if not wanted:
        return {}
    rows = QUERIES.promotion_points(
        connection,
        agreement_ids=[agreement_id for agreement_id, _ in wanted],
        versions=[version for _, version in wanted],
    )
    return {
        (agreement_id, version, promotion): granted
        for agreement_id, version, promotion, granted in rows
    }


def load_altered(
    connection: Any, registry: Registry, commands: Iterable[Command], quoted: Iterable[Terms]
) -> frozenset[tuple[str, int]]:
    """Which of the activated versions that these orders or their quotes name are not stored as the
    snapshot has them, whose signatures were verified: their rows were altered by other hands.
    """
    named = sorted(
        {
            (each.agreement_id, each.agreement_version)
            for each in commands
            if isinstance(each, Order)
        }.union(terms.name for terms in quoted)
        & registry.agreements.keys()
    )
    if not named:
        return frozenset()
    ids, versions = zip(*named, strict=True)
    rows = QUERIES.stored_forces(connection, agreement_ids=list(ids), versions=list(versions))
    stored = {(row[0], row[1]): (bytes(row[2]), *row[3:]) for row in rows}
    forces = {name: registry.agreements[name] for name in named}
    return frozenset(
        name
        for name, force in forces.items()
        if stored.get(name) != (force.terms.sha256, force.effective_from, force.effective_until)
    )


def load_proposals(connection: Any, commands: Iterable[Command]) -> dict[tuple[str, int], Proposal]:
    """The newest proposals of the agreement versions that these commands name."""
    names = sorted({name for name in map(version_named, commands) if name})
    if not names:
        return {}
    ids, versions = zip(*names, strict=True)
    rows = QUERIES.newest_proposals(connection, agreement_ids=list(ids), versions=list(versions))
    return {(row[0], row[1]): proposal_of(row[2:]) for row in rows}


def load_leaf(connection: Any, log_index: int) -> bytes | None:
    """The leaf hash at an index, or None where nothing was committed."""
    leaf = QUERIES.leaf(connection, log_index=log_index)
    return None if leaf is None else bytes(leaf)


def load_stream_heads(connection: Any, partner_numbers: Sequence[int]) -> dict[int, StreamHead]:
    """The ends of these partners' streams."""
    if not partner_numbers:
        return {}
    rows = QUERIES.stream_heads(connection, partner_numbers=list(partner_numbers))
    return {number: StreamHead(seq, bytes(digest)) for number, seq, digest in rows}


@dataclass(frozen=True, slots=True)
class StoredReceipt:
    """A receipt's payload with the record that it carries."""

    payload: bytes
    record: bytes
    refused_field: str
    refused_text: str


def load_receipts(connection: Any, log_indexes: Sequence[int]) -> dict[int, StoredReceipt]:
    """The sources' receipts of these transfers, by log index."""
    if not log_indexes:
        return {}
    rows = QUERIES.stream_payloads(connection, log_indexes=list(log_indexes))
    return {
        index: StoredReceipt(bytes(payload), bytes(record), field or "", text or "")
        for _partner, index, kind, payload, record, field, text in rows
        if kind == 1
    }


def load_quotes(
    connection: Any, registry: Registry, commands: Iterable[Command], held: Iterable[Held]
) -> dict[UUID, Quote]:
    """The quotes that these commands name, and those of what was held."""
    ids = [str(each.order.quote_id) for each in held if each.order.quote_id]
    ids += [
        str(each.quote_id)
        for each in commands
        if isinstance(each, Order | AskQuote) and each.quote_id
    ]
    if not ids:
        return {}
    return _quotes(registry, QUERIES.quotes(connection, quote_ids=ids))


def load_lapsed_quotes(
    connection: Any, registry: Registry, names: Iterable[tuple[str, int]], now: datetime
) -> dict[UUID, Quote]:
    """The quotes under these agreement versions that hold bonus points though they have expired."""
    wanted = sorted(names)
    if not wanted:
        return {}
    rows = QUERIES.lapsed_quotes(
        connection,
        agreement_ids=[agreement_id for agreement_id, _ in wanted],
        versions=[version for _, version in wanted],
        now=now,
    )
    return _quotes(registry, rows)


def _quotes(registry: Registry, rows: Iterable[Any]) -> dict[UUID, Quote]:
    quotes = (
        quote_from_payload(
            bytes(payload),
            registry,
            bytes(asked),
            UUID(used_by) if used_by else None,
            reserves=reserves,
        )
        for payload, asked, used_by, reserves in rows
    )
    return {quote.quote_id: quote for quote in quotes}


def load_links(connection: Any, commands: Iterable[Command]) -> dict[UUID, Link]:
    """The links that these commands name, and those of members who are to be forgotten."""
    named: set[str] = set()
    forgotten: list[EraseMember] = []
    for command in commands:
        match command:
            case Order(link_id=UUID() as link_id):
                named.add(str(link_id))
            case StartLink() | ConfirmLink() | RevokeLink() | FreezeLink():
                named.add(str(command.link_id))
            case EraseMember():
                forgotten.append(command)
            case _:
                pass
    if not named and not forgotten:
        return {}
    rows = QUERIES.links(
        connection,
        link_ids=sorted(named),
        programs=[each.program for each in forgotten],
        members=[each.member for each in forgotten],
    )
    links = map(link_of_row, rows)
    return {link.link_id: link for link in links}


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
        case Order() | AskQuote() | OpenWindow() | CloseWindow() | DecideHeld():
            return ""
        case _:
            return link_entry_key(command)


def version_named(command: Command) -> tuple[str, int] | None:
    """The agreement version that a command negotiates or activates."""
    match command:
        case Propose(terms=terms) | CounterSign(terms=terms) | Activate(terms=terms):
            return terms.name
        case Withdraw():
            return command.agreement_id, command.version
        case _:
            return None


def window_named(command: Command) -> str:
    """The window that a command names, empty where it names none."""
    match command:
        case OpenWindow():
            return window_id(command.currency, command.business_date)
        case CloseWindow():
            return command.window_id
        case Book(step=WindowStep(window_id=named)):
            return named
        case _:
            return ""


def accounts_touched(registry: Registry, commands: Iterable[Command]) -> set[int] | None:
    """The accounts that these commands may post to; None means any."""
    accounts: set[int] = set()
    corridors: set[tuple[str, str]] = set()
    for command in commands:
        match command:
            case Order():
                corridors.add((command.source_program, command.target_program))
            case Book():
                for posting in command.postings:
                    accounts |= {posting.debit, posting.credit}
            case DecideHeld():
                # Which accounts it posts to is in the hold.
                return None
            case SetLimits(limits=PartnerLimits(partner_id=name)) if name in registry.partners:
                partner = registry.partners[name]
                money = registry.units[partner.currency].number
                accounts.add(position_account(money, partner.number))
            case AddPartner() | AddKey() | AddTaxRate() | Activate():
                # Orders behind it in the batch may rest on what it brings.
                return None
            case _:
                pass
    for source, target in corridors:
        if source in registry.programs and target in registry.programs:
            accounts |= corridor_accounts(registry, source, target)
    for version in promotions_touched(registry, commands):
        accounts |= funding_accounts(registry, registry.agreements[version].terms)
    return accounts


def promotions_touched(
    registry: Registry, commands: Iterable[Command], held: Iterable[Held] = ()
) -> set[tuple[str, int]]:
    """The agreement versions with promotions under which these commands order, decide what was
    held, or ask for quotes of their programs. Quotes that are named may be under others.
    """
    named = {(each.order.agreement_id, each.order.agreement_version) for each in held}
    asked: set[tuple[str, str]] = set()
    for command in commands:
        match command:
            case Order():
                named.add((command.agreement_id, command.agreement_version))
            case AskQuote():
                asked.add((command.source_program, command.target_program))
            case _:
                pass
    if asked:
        named |= {
            force.terms.name
            for force in registry.agreements.values()
            if force.terms.corridor in asked
        }
    return {
        name
        for name in named
        if (force := registry.agreements.get(name)) is not None and force.terms.promotions
    }


def funding_accounts(registry: Registry, terms: Terms) -> set[int]:
    """The accounts that the funders of these terms' promotions pay from."""
    return {
        funder_account(registry, terms, each.name)
        for promotion in terms.promotions
        for each in promotion.funders
    }


def corridor_accounts(registry: Registry, source: str, target: str) -> set[int]:
    """The accounts that a transfer of this corridor posts to."""
    payer = registry.partner_of_program(source)
    payee = registry.partner_of_program(target)
    out_unit, in_unit = registry.points_unit(source).number, registry.points_unit(target).number
    money = registry.units[payer.currency].number
    return {
        points_account(out_unit, PointsAccount.MEMBERS),
        points_account(out_unit, PointsAccount.REDEEMED),
        points_account(in_unit, PointsAccount.MEMBERS),
        points_account(in_unit, PointsAccount.GRANTED),
        position_account(money, payer.number),
        position_account(money, payee.number),
        hub_account(money, HubAccount.FEES),
        *(tax_account(money, tax.number) for tax in registry.taxes.values()),
    }


# Writing


def write_effects(
    connection: Any, outcomes: Iterable[Outcome], registry: Registry, roots: Mapping[int, bytes]
) -> None:
    """Write what a batch changes besides the journal: rare, and a round trip each."""
    for outcome in outcomes:
        if isinstance(outcome, Booked):
            write_effect(connection, outcome, registry, roots)


Execution = tuple[str, list[Any]]
"""The name of a prepared statement, and its parameters."""


def executions(
    before: State, folded: Folded, sealed: Sealed, terms_revision: int
) -> list[Execution]:
    """What writes a batch and moves the head. Nothing where the batch changes nothing."""
    written = [
        (statement, [array_literal(column) for column in zip(*rows, strict=True)])
        for statement, rows in rows_of(before, folded, sealed).items()
        if rows
    ]
    if not written:
        return []
    head = [
        folded.state.next_index,
        sealed.frontier.to_bytes(),
        folded.state.recorded_at,
        terms_revision,
        folded.state.quote_changes,
    ]
    return [*written, ("move_head", head)]


def commit(connection: Any, writes: Iterable[Execution]) -> None:
    """Write and commit, in one round trip.

    A crash before the database has committed leaves nothing of the batch; after that all of it is
    there, whether the answer arrives or not.
    """
    with connection.cursor() as cursor:
        texts = [
            cursor.mogrify(f"EXECUTE {name} ({', '.join(['%s'] * len(parameters))})", parameters)
            for name, parameters in writes
        ]
        cursor.execute(b";".join([*texts, b"COMMIT"]))


def write_effect(
    connection: Any, outcome: Booked, registry: Registry, roots: Mapping[int, bytes]
) -> None:
    """Write what an entry changes besides the journal."""
    match outcome.effect:
        case PartnerAdded() as added:
            write_partner(connection, added, outcome.log_index)
        case RegisteredKey() as key:
            QUERIES.write_key(
                connection,
                key_id=key.key_id,
                holder=key.holder,
                purpose=key.purpose.value,
                public_key=key.public_key,
                valid_from=key.valid_from,
                valid_until=key.valid_until,
                registered_index=key.registered_index,
            )
        case TaxRateAdded() as added_rate:
            QUERIES.write_tax_rate(
                connection,
                tax_code=added_rate.tax.code,
                tax_number=added_rate.tax.number,
                effective_from=added_rate.rate.effective_from,
                basis_points=added_rate.rate.basis_points,
                log_index=outcome.log_index,
                account_numbers=[account.number for account in added_rate.accounts],
                account_names=[account.name for account in added_rate.accounts],
            )
        case KeyRevoked(key_id, revoked_index):
            QUERIES.revoke_key(connection, key_id=key_id, revoked_index=revoked_index)
        case Proposed() | CounterSigned() | Withdrawn() as negotiated:
            write_negotiated(connection, negotiated, outcome.log_index)
        case Activated(force, round_number):
            terms = force.terms
            source = registry.points_unit(terms.source_program).number
            target = registry.points_unit(terms.target_program).number
            QUERIES.write_force(
                connection,
                agreement_id=terms.agreement_id,
                version=terms.version,
                round=round_number,
                corridor=source << 32 | target,
                effective_from=force.effective_from,
                effective_until=force.effective_until,
                log_index=outcome.log_index,
            )
            QUERIES.write_promotions(
                connection,
                agreement_id=terms.agreement_id,
                version=terms.version,
                promotion_ids=[each.promotion_id for each in terms.promotions],
                budgets=[each.budget_points for each in terms.promotions],
            )
        case Terminated(force):
            QUERIES.write_termination(
                connection,
                agreement_id=force.terms.agreement_id,
                version=force.terms.version,
                effective_until=force.effective_until,
                log_index=outcome.log_index,
            )
        case WindowOpened(opened):
            write_opened(connection, opened, roots[outcome.log_index])
        case WindowClosed(closed, opened):
            root = roots[outcome.log_index]
            QUERIES.close_window(
                connection, window_number=closed.number, end_index=closed.end_index, root=root
            )
            write_opened(connection, opened, root)
        case PartnerSwitches() | CorridorSwitches() | ProgramSwitches() as switches:
            write_restraint(connection, "switches", switches.subject, outcome)
        case PartnerLimits() | CorridorLimits() | ProgramLimits() as limits:
            write_restraint(connection, "limits", limits.subject, outcome)
        case WindowStep() as step:
            QUERIES.step_window(
                connection, window_id=step.window_id, before=step.before, after=step.after
            )
        case LinkChanged(link, member):
            write_link(connection, link)
            if member is not None:
                write_link_member(connection, link, member, registry)
        case LinkFrozen(link):
            write_link(connection, link)
        case LinksRequired() as demand:
            QUERIES.require_links(connection, program=demand.program, required=demand.required)
        case MemberErased() as erased:
            for link in erased.links:
                write_link(connection, link)
            QUERIES.forget_member(connection, program=erased.program, member=erased.member)
            secret = load_member_secret(connection)
            subjects = member_subjects(registry, secret, erased.program, erased.member)
            QUERIES.forget_day_tallies(connection, subjects=sorted(subjects))
        case ProposeAction() | ApproveAction() as signed:
            write_action(connection, signed, outcome.log_index, outcome.recorded_at)
        case PartnerMoved(partner_id, state):
            QUERIES.write_partner_state(
                connection,
                partner_number=registry.partners[partner_id].number,
                log_index=outcome.log_index,
                state=state.value,
            )
        case RolesChanged(operator, roles):
            QUERIES.write_roles(
                connection,
                operator=operator,
                roles=sorted(roles),
                log_index=outcome.log_index,
            )
        case None:
            pass


def write_link(connection: Any, link: Link) -> None:
    """A link as it stands."""
    QUERIES.write_link(
        connection,
        link_id=str(link.link_id),
        source_program=link.source_program,
        target_program=link.target_program,
        state=link.state.value,
        frozen=link.frozen,
        log_index=link.log_index,
        started_at=link.started_at,
        confirmed_at=link.confirmed_at,
        method=link.method.value if link.method else None,
        consent_version=link.consent_version or None,
    )


def write_link_member(connection: Any, link: Link, member: LinkMember, registry: Registry) -> None:
    """One side's reference, where it can be forgotten."""
    QUERIES.write_link_member(
        connection,
        link_id=str(link.link_id),
        partner_number=registry.partner_of_program(member.program).number,
        program=member.program,
        member=member.member,
        salt=member.salt,
    )


def write_restraint(connection: Any, kind: str, subject: str, outcome: Booked) -> None:
    """A subject's switches or limits, as the leaf states them, in place of those before."""
    QUERIES.write_restraint(
        connection, kind=kind, subject=subject, body=outcome.body, log_index=outcome.log_index
    )


def write_action(
    connection: Any, signed: ProposeAction | ApproveAction, log_index: int, recorded_at: datetime
) -> None:
    """An operator's action, or the approval of one."""
    action_id = str(signed.action.action_id)
    if isinstance(signed, ApproveAction):
        actions.QUERIES.approve(
            connection,
            action_id=action_id,
            maker=signed.maker.operator,
            checker=signed.checker.operator,
            key_id=signed.checker.key_id,
            signature=signed.checker.signature,
            log_index=log_index,
            recorded_at=recorded_at,
        )
        return
    actions.QUERIES.propose(
        connection,
        action_id=action_id,
        maker=signed.maker.operator,
        method=signed.action.method,
        payload=signed.action.payload,
        key_id=signed.maker.key_id,
        signature=signed.maker.signature,
        two_person=signed.two_person,
        log_index=log_index,
        recorded_at=recorded_at,
    )
    if signed.request is not None:
        actions.QUERIES.keep_request(connection, action_id=action_id, request=signed.request)


def write_negotiated(
    connection: Any, effect: Proposed | CounterSigned | Withdrawn, log_index: int
) -> None:
    """A round of an agreement version: opened, signed by one more, or taken back."""
    match effect:
        case Proposed(command, round_number):
            QUERIES.write_proposal(
                connection,
                agreement_id=command.terms.agreement_id,
                version=command.terms.version,
                round=round_number,
                source_partner=command.terms.source_partner,
                target_partner=command.terms.target_partner,
                proposer=command.partner_id,
                signatories=list(command.terms.signatories),
                is_counter=command.is_counter,
                payload=command.payload,
                log_index=log_index,
            )
        case CounterSigned():
            pass
        case Withdrawn(command=withdrawn):
            QUERIES.write_withdrawal(
                connection,
                agreement_id=withdrawn.agreement_id,
                version=withdrawn.version,
                round=effect.round,
                log_index=log_index,
            )
            return
    signed = effect.command
    QUERIES.write_agreement_signature(
        connection,
        agreement_id=signed.terms.agreement_id,
        version=signed.terms.version,
        round=effect.round,
        partner_id=signed.partner_id,
        key_id=signed.key_id,
        signature=signed.signature,
        log_index=log_index,
    )


def write_opened(connection: Any, window: Window, root: bytes) -> None:
    """A window that begins at the root of the log before its opening leaf."""
    QUERIES.open_window(
        connection,
        window_number=window.number,
        window_id=window.window_id,
        currency=window.currency,
        business_date=window.business_date,
        first_index=window.first_index,
        root=root,
    )


def write_partner(connection: Any, added: PartnerAdded, log_index: int) -> None:
    """A partner with its units, programs, accounts and the head of its stream."""
    QUERIES.write_units(
        connection,
        unit_numbers=[unit.number for unit in added.units],
        names=[unit.name for unit in added.units],
        scales=[unit.scale for unit in added.units],
    )
    QUERIES.write_partner(
        connection,
        partner_number=added.partner.number,
        partner_id=added.partner.partner_id,
        legal_name=added.partner.legal_name,
        currency=added.partner.currency,
        net_debit_cap=added.partner.net_debit_cap,
        log_index=log_index,
        programs=list(added.partner.programs),
        account_numbers=[account.number for account in added.accounts],
        account_names=[account.name for account in added.accounts],
        floors=[account.floor for account in added.accounts],
        ceilings=[account.ceiling for account in added.accounts],
    )
