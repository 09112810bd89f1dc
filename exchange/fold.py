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

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from uuid import UUID

from exchange.commands import (
    Answer,
    Book,
    Booked,
    CloseWindow,
    Command,
    Effect,
    OpenWindow,
    Order,
    Outcome,
    PartnerAdded,
    Recorded,
    Repeated,
    Result,
    Window,
    WindowClosed,
    WindowOpened,
)
from exchange.ledger.accounts import HUB, Account, hub_accounts, partner_accounts, program_accounts
from exchange.ledger.postings import (
    PAYMENT_CODES,
    Balance,
    CounterFull,
    MoneyCell,
    OutOfBounds,
    PointsCell,
    Posting,
    PostingRef,
    post,
    window_steps,
)
from exchange.transfer import Plan, plan_transfer, post_plan, target_partner_of
from partners.commands import Activate, AddKey, AddPartner
from partners.envelope import RATE_AGREEMENT
from partners.errors import PointclearError, Reason, Refused
from partners.keys import Purpose
from partners.points import currency_scale
from partners.registry import Force, Partner, RegisteredKey, Registry, Unit, same_corridor


@dataclass(frozen=True, slots=True)
class Limits:
    """What bounds the fold besides the terms."""

    refusals_per_minute: int = 600
    """Refusals of one partner that are recorded in one minute; beyond it they are RATE_LIMITED, so
    that nobody fills the store with them."""


@dataclass(frozen=True, slots=True)
class Tally:
    """How many refusals of a partner were recorded in a minute."""

    minute: int = 0
    """Minutes since 1970."""
    refused: int = 0


Cell = tuple[int, MoneyCell | PointsCell]
"""A window's number and a key of its sums."""


PARTNER_BODY = "application/vnd.pointclear.partner.v1+protobuf"
ENVELOPE_BODY = "application/vnd.dsse.envelope.v1+json"
"""What the bodies of entries are, besides payload types and `application/json`."""


ORDER_FIELDS = (
    "source_program",
    "target_program",
    "source_member",
    "target_member",
    "source_points",
    "target_points",
    "agreement_id",
    "agreement_version",
    "issued_at",
    "expires_at",
    "partner_reference",
)
"""Of an order, as the wire names and orders them."""


class InvariantBroken(PointclearError):
    """The books contradict themselves. Nothing of the batch is written; an operator must look."""


@dataclass(frozen=True, slots=True)
class State:
    """What a batch is decided against. The mappings hold at least what its commands can touch."""

    next_index: int
    recorded_at: datetime
    """Time of the newest leaf."""
    registry: Registry
    answers: Mapping[UUID, Answer] = field(default_factory=dict)
    entries: Mapping[str, tuple[int, bytes]] = field(default_factory=dict)
    """Entry keys already used, with the log index and the body."""
    windows: Mapping[str, Window] = field(default_factory=dict)
    """By window id: every open window, and those that the commands name."""
    balances: Mapping[int, Balance] = field(default_factory=dict)
    window_sums: Mapping[Cell, int] = field(default_factory=dict)
    """Sums of the windows that the commands close."""
    tallies: Mapping[str, Tally] = field(default_factory=dict)
    """Recorded refusals by partner id."""
    resolved: frozenset[PostingRef] = frozenset()
    """Those pending postings which the commands would resolve and which were resolved before."""


@dataclass(frozen=True, slots=True)
class Folded:
    """What a batch came to."""

    state: State
    results: tuple[Result, ...]
    """One per command, in their order."""
    outcomes: tuple[Outcome, ...]
    """Those that are written, in log order."""
    window_steps: Mapping[Cell, int]
    """What the batch adds to the windows' sums."""


NO_LIMITS = Limits()


def fold(
    state: State, commands: Iterable[Command], now: datetime, limits: Limits = NO_LIMITS
) -> Folded:
    """Decide `commands` in their order at the clock reading `now`."""
    run = _Run(state, max(now, state.recorded_at), limits)
    results = tuple(run.decide(command) for command in commands)
    return Folded(run.state_after(), results, tuple(run.outcomes), run.steps)


class _Run:
    """One batch in progress: the parts of the state that change, private to one call of `fold`."""

    def __init__(self, state: State, now: datetime, limits: Limits) -> None:
        self.before = state
        self.now = now
        self.limits = limits
        self.index = state.next_index
        self.registry = state.registry
        self.answers = dict(state.answers)
        self.entries = dict(state.entries)
        self.windows = dict(state.windows)
        self.balances = dict(state.balances)
        self.sums = dict(state.window_sums)
        self.tallies = dict(state.tallies)
        self.resolved = state.resolved
        self.steps: dict[Cell, int] = {}
        self.outcomes: list[Outcome] = []

    def state_after(self) -> State:
        return State(
            self.index,
            self.now if self.outcomes else self.before.recorded_at,
            self.registry,
            self.answers,
            self.entries,
            self.windows,
            self.balances,
            self.sums,
            self.tallies,
            self.resolved,
        )

    def decide(self, command: Command) -> Result:
        """Dispatch one command; a Refused that reaches here was not recorded."""
        try:
            match command:
                case Order():
                    return self.transfer(command)
                case AddPartner():
                    return self.add_partner(command)
                case AddKey():
                    return self.add_key(command)
                case Activate():
                    return self.activate(command)
                case OpenWindow():
                    return self.open_window(command)
                case CloseWindow():
                    return self.close_window(command)
                case Book():
                    return self.book(command)
        except Refused as refusal:
            return refusal

    # Transfers

    def transfer(self, order: Order) -> Result:
        answered = self.answers.get(order.transfer_id)
        if answered is not None:
            return repeated(answered, order)
        key = self.registry.keys.get(order.key_id)
        if key is None or not key.in_force(self.index, self.now):
            raise Refused(Reason.KEY_NOT_IN_FORCE, "signatures", "the order's key is not in force")
        try:
            plan = plan_transfer(self.registry, self.open_windows(), order, self.now)
            post_plan(self.balances, plan)
        except Refused as refusal:
            return self.record(order, refusal, None)
        self.count(plan.postings, plan.window)
        return self.record(order, None, plan)

    def record(self, order: Order, refusal: Refused | None, plan: Plan | None) -> Recorded:
        if refusal is not None:
            self.tally(order.partner_id)
        outcome = Recorded(
            self.index,
            self.now,
            order,
            source_partner=order.partner_id,
            target_partner=target_partner_of(self.registry, order),
            refusal=refusal,
            terms=plan.terms if plan else None,
            conversion=plan.conversion if plan else None,
            tax_basis_points=plan.tax_basis_points if plan else 0,
            window=plan.window if plan else None,
            postings=plan.postings if plan else (),
        )
        self.answers[order.transfer_id] = Answer(
            order.partner_id, order.payload_sha256, outcome.log_index, order
        )
        self.append(outcome)
        return outcome

    def tally(self, partner_id: str) -> None:
        """Count a refusal that is to be recorded; raises Refused(RATE_LIMITED) beyond the cap."""
        minute = int(self.now.timestamp()) // 60
        tally = self.tallies.get(partner_id, Tally())
        refused = tally.refused + 1 if tally.minute == minute else 1
        if refused > self.limits.refusals_per_minute:
            raise Refused(
                Reason.RATE_LIMITED,
                "",
                f"{self.limits.refusals_per_minute} refusals were recorded in this minute",
            )
        self.tallies[partner_id] = Tally(minute, refused)

    def open_windows(self) -> dict[str, Window]:
        return {w.currency: w for w in self.windows.values() if w.state == "OPEN"}

    # Partners, keys, terms

    def add_partner(self, command: AddPartner) -> Result:
        known = self.registry.partners.get(command.partner_id)
        entry_key = f"partner/{command.partner_id}"
        if known is not None:
            return self.same_body(entry_key, command.body, "partner.partner_id")
        for program in command.programs:
            if program in self.registry.programs:
                raise Refused(
                    Reason.ALREADY_EXISTS, "partner.programs", f"program {program} is registered"
                )
        scale = currency_scale(command.currency, "partner.settlement_account.currency")
        number = len(self.registry.partners) + 1
        new_units = self.new_units(command)
        partner = Partner(
            number,
            command.partner_id,
            command.legal_name,
            command.programs,
            command.currency,
            command.net_debit_cap,
        )
        self.registry = self.registry.with_partner(partner, new_units, scale)
        accounts = self.accounts_of(partner, new_units)
        for account in accounts:
            self.balances[account.number] = Balance(floor=account.floor, ceiling=account.ceiling)
        effect = PartnerAdded(partner, new_units, accounts)
        return self.enter(entry_key, PARTNER_BODY, command.body, effect=effect)

    def new_units(self, command: AddPartner) -> tuple[Unit, ...]:
        names = [f"PTS:{program}" for program in command.programs]
        scales = [0] * len(names)
        if command.currency not in self.registry.units:
            names.append(command.currency)
            scales.append(currency_scale(command.currency).scale)
        first = len(self.registry.units) + 1
        return tuple(
            Unit(first + i, name, scale)
            for i, (name, scale) in enumerate(zip(names, scales, strict=True))
        )

    def accounts_of(self, partner: Partner, new_units: tuple[Unit, ...]) -> tuple[Account, ...]:
        taxes = tuple((tax.number, tax.code) for tax in self.registry.taxes.values())
        money = self.registry.units[partner.currency].number
        opened: list[Account] = []
        for unit in new_units:
            if unit.name == partner.currency:
                opened += hub_accounts(unit.number, taxes)
            else:
                opened += program_accounts(unit.number, unit.name.removeprefix("PTS:"))
        opened += partner_accounts(money, partner.number, partner.partner_id, partner.net_debit_cap)
        return tuple(opened)

    def add_key(self, command: AddKey) -> Result:
        known = self.registry.keys.get(command.key_id)
        if known is not None:
            return self.same_body(
                f"key/{command.key_id}", command.body, "key_event.public_key", Reason.KEY_IN_USE
            )
        kind, _, name = command.holder.partition("/")
        if kind == "partner" and name not in self.registry.partners:
            raise Refused(Reason.PARTNER_UNKNOWN, "key_event.partner_id", f"no partner {name}")
        if command.registrar_key_id is not None:
            registrar = self.registry.keys.get(command.registrar_key_id)
            if registrar is None or not registrar.in_force(self.index, self.now):
                raise Refused(
                    Reason.KEY_NOT_IN_FORCE,
                    "key_event.signatures",
                    "the registering key is not in force",
                )
        key = RegisteredKey(
            command.key_id,
            command.holder,
            Purpose(command.purpose),
            command.public_key,
            command.valid_from,
            command.valid_until,
            self.index,
        )
        self.registry = self.registry.with_key(key)
        return self.enter(f"key/{key.key_id}", ENVELOPE_BODY, command.body, effect=key)

    def activate(self, command: Activate) -> Result:
        terms = command.terms
        name = (terms.agreement_id, terms.version)
        if name in self.registry.agreements:
            return self.same_body(f"agreement/{name[0]}/{name[1]}", command.body, "agreement_id")
        check_parties(self.registry, terms.source_partner, terms.source_program, terms.currency)
        check_parties(self.registry, terms.target_partner, terms.target_program, terms.currency)
        if terms.tax_code not in self.registry.taxes:
            raise Refused(Reason.TERMS_INVALID, "tax_code", f"there is no tax {terms.tax_code}")
        for key_id in command.key_ids:
            key = self.registry.keys.get(key_id)
            if key is None or not key.in_force(self.index, self.now):
                raise Refused(Reason.KEY_NOT_IN_FORCE, "agreement", f"key {key_id} is not in force")
        for agreement_id, version in self.registry.agreements:
            if agreement_id == terms.agreement_id and version > terms.version:
                raise Refused(
                    Reason.TERMS_INVALID, "version", f"version {version} was in force already"
                )
        for earlier in self.registry.agreements.values():
            # Two versions in force within one clock reading would leave the earlier one no time at
            # all.
            if same_corridor(earlier.terms, terms) and earlier.effective_from >= self.now:
                self.now = earlier.effective_from + timedelta(microseconds=1)
        force = Force(terms, self.now)
        self.registry = self.registry.with_force(force)
        return self.enter(
            f"agreement/{name[0]}/{name[1]}", RATE_AGREEMENT, command.body, effect=force
        )

    # Windows and settlement

    def open_window(self, command: OpenWindow) -> Result:
        if command.currency not in self.registry.currencies:
            raise Refused(
                Reason.FIELD_INVALID, "currency", f"no partner settles in {command.currency!r}"
            )
        wanted = window_id(command.currency, command.business_date)
        if wanted in self.windows:
            return Repeated(self.windows[wanted].first_index)
        already = self.open_windows().get(command.currency)
        if already is not None:
            raise Refused(
                Reason.WINDOW_STATE,
                "business_date",
                f"{already.window_id} is open; closing it opens the next",
            )
        opened = Window(
            1 + max((w.number for w in self.windows.values()), default=0),
            wanted,
            command.currency,
            command.business_date,
            "OPEN",
            self.index,
        )
        self.windows[wanted] = opened
        return self.enter(f"open/{wanted}", "application/json", b"{}", effect=WindowOpened(opened))

    def close_window(self, command: CloseWindow) -> Result:
        window = self.window(command.window_id)
        if window.end_index is not None:
            return Repeated(window.end_index)
        following = command.next_business_date or window.business_date + timedelta(days=1)
        if following <= window.business_date:
            raise Refused(
                Reason.FIELD_INVALID,
                "next_business_date",
                f"the next business date is after {window.business_date}",
            )
        nets = self.nets(window)
        closed = replace(window, state="CLOSED", end_index=self.index)
        opened = Window(
            1 + max(w.number for w in self.windows.values()),
            window_id(window.currency, following),
            window.currency,
            following,
            "OPEN",
            self.index,
        )
        self.windows |= {closed.window_id: closed, opened.window_id: opened}
        effect = WindowClosed(closed, opened, nets)
        return self.enter(f"close/{window.window_id}", "application/json", b"{}", effect=effect)

    def nets(self, window: Window) -> tuple[tuple[int, int], ...]:
        """Each party's net of the window, payments left out. Raises InvariantBroken unless they sum
        to 0.
        """
        nets: dict[int, int] = {HUB: 0}
        for (number, cell), amount in self.sums.items():
            if number != window.number or not isinstance(cell, MoneyCell):
                continue
            if cell.code not in PAYMENT_CODES:
                nets[cell.party] = nets.get(cell.party, 0) + amount
        if sum(nets.values()) != 0:
            raise InvariantBroken(f"the nets of window {window.window_id} do not sum to 0: {nets}")
        return tuple(sorted(nets.items()))

    def book(self, command: Book) -> Result:
        if command.entry_key in self.entries:
            return self.same_body(command.entry_key, command.body, "entry_key")
        step = command.step
        if step is not None and self.window(step.window_id).state != step.before:
            raise Refused(
                Reason.WINDOW_STATE,
                "window_id",
                f"{step.window_id} is {self.window(step.window_id).state}, not {step.before}",
            )
        named = [each.resolves for each in command.postings if each.resolves]
        resolves = frozenset(named)
        if resolves & self.resolved or len(resolves) < len(named):
            raise Refused(Reason.ALREADY_EXISTS, "postings", "a hold was resolved before")
        window = self.open_windows().get(command.window_of) if command.window_of else None
        if command.postings and window is None:
            raise Refused(Reason.WINDOW_STATE, "", f"no window of {command.window_of} is open")
        try:
            self.apply(command.postings, window)
        except (CounterFull, OutOfBounds) as bound:
            raise Refused(Reason.LIMIT_EXCEEDED, "", str(bound)) from bound
        self.resolved |= resolves
        if step is not None:
            moved = replace(self.windows[step.window_id], state=step.after)
            self.windows[step.window_id] = moved
        return self.enter(
            command.entry_key,
            command.body_type,
            command.body,
            postings=command.postings,
            window=window,
            effect=step,
        )

    def window(self, wanted: str) -> Window:
        window = self.windows.get(wanted)
        if window is None:
            raise Refused(Reason.WINDOW_UNKNOWN, "window_id", f"there is no window {wanted}")
        return window

    # What all of them do

    def apply(self, postings: tuple[Posting, ...], window: Window | None) -> None:
        """Post to the balances and add to the window's sums; raises CounterFull or OutOfBounds
        with nothing changed.
        """
        post(self.balances, postings)
        if window is not None:
            self.count(postings, window)

    def count(self, postings: tuple[Posting, ...], window: Window) -> None:
        """Add what was posted to the window's sums."""
        for posting in postings:
            for cell, amount in window_steps(posting):
                key = (window.number, cell)
                self.steps[key] = self.steps.get(key, 0) + amount
                self.sums[key] = self.sums.get(key, 0) + amount

    def enter(
        self,
        entry_key: str,
        body_type: str,
        body: bytes,
        *,
        postings: tuple[Posting, ...] = (),
        window: Window | None = None,
        effect: Effect | None = None,
    ) -> Booked:
        booked = Booked(self.index, self.now, entry_key, body_type, body, postings, window, effect)
        self.entries[entry_key] = (self.index, body)
        self.append(booked)
        return booked

    def same_body(
        self, entry_key: str, body: bytes, field: str, reason: Reason = Reason.ALREADY_EXISTS
    ) -> Repeated:
        """The first outcome of an entry, if `body` is what it was entered with; raises Refused
        otherwise.
        """
        index, entered = self.entries.get(entry_key, (0, b""))
        if entered != body:
            raise Refused(reason, field, f"{entry_key} exists with other content")
        return Repeated(index)

    def append(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        self.index += 1


def repeated(answer: Answer, order: Order) -> Repeated:
    """What a used id is answered with; raises Refused(MODIFIED_REQUEST) for anything but the same
    order.
    """
    if answer.partner_id != order.partner_id or answer.payload_sha256 != order.payload_sha256:
        raise Refused(
            Reason.MODIFIED_REQUEST,
            first_difference(answer, order),
            "this id was used before with other content",
        )
    return Repeated(answer.log_index, answer.partner_id)


def first_difference(answer: Answer, order: Order) -> str:
    """The first field in which an order differs from the one that its id stands for; the id itself
    where that one is not the caller's to know.
    """
    if answer.order is None or answer.partner_id != order.partner_id:
        return "transfer_id"
    first = answer.order
    return next(
        (name for name in ORDER_FIELDS if getattr(first, name) != getattr(order, name)),
        "transfer_id",
    )


def check_parties(registry: Registry, partner_id: str, program_id: str, currency: str) -> None:
    """Raise Refused unless the partner exists, has the program and settles in the currency."""
    partner = registry.partners.get(partner_id)
    if partner is None:
        raise Refused(Reason.PARTNER_UNKNOWN, "agreement", f"there is no partner {partner_id}")
    if program_id not in partner.programs:
        raise Refused(
            Reason.PROGRAM_UNKNOWN, "agreement", f"{partner_id} has no program {program_id}"
        )
    if partner.currency != currency:
        raise Refused(
            Reason.TERMS_INVALID,
            "settlement_currency",
            f"{partner_id} settles in {partner.currency}, not {currency}",
        )


def window_id(currency: str, business_date: object) -> str:
    """Name of the window of a currency and a business date: `usd-2017-01-01`."""
    return f"{currency.lower()}-{business_date}"
