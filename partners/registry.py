"""Who takes part, with which keys, on what terms: one immutable snapshot. Pure.

The sequencer decides every batch against the snapshot that belongs to the head row's terms
revision, and folds changes into a new one, so a registration and an order in the same batch see
each other exactly as if they had come one by one.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from uuid import UUID

from partners.agreement import Terms
from partners.environment import Environment
from partners.free_lunch import Worths
from partners.keys import Purpose
from partners.life import PartnerState
from partners.limits.values import Limits, PartnerLimits, Restraints, Switches
from partners.operators.roles import Role
from partners.points import CurrencyScale
from partners.routes.route import Route


@dataclass(frozen=True, slots=True)
class Partner:
    """A brand in the coalition."""

    number: int
    """Counts from 1; part of its account numbers."""
    partner_id: str
    legal_name: str
    programs: tuple[str, ...]
    currency: str
    net_debit_cap: int
    """As it stands, in units of the currency's scale."""
    state: PartnerState = PartnerState.SANDBOX


@dataclass(frozen=True, slots=True)
class Unit:
    """What a posting counts: the points of a program, or a settlement currency."""

    number: int
    """Counts from 1; part of its account numbers."""
    name: str
    """`PTS:<program_id>` or an ISO 4217 code."""
    scale: int


@dataclass(frozen=True, slots=True)
class RegisteredKey:
    """A key that may verify statements."""

    key_id: str
    holder: str
    """`partner/<id>`, `operator/<name>` or `exchange`."""
    purpose: Purpose
    public_key: bytes
    valid_from: datetime
    valid_until: datetime
    registered_index: int
    revoked_index: int | None = None

    def in_force(self, log_index: int, time: datetime) -> bool:
        """Whether a statement booked at this index and log time may rest on this key."""
        return (
            self.registered_index < log_index
            and (self.revoked_index is None or log_index < self.revoked_index)
            and self.valid_from <= time < self.valid_until
        )


@dataclass(frozen=True, slots=True)
class Force:
    """An agreement version and the time for which it is in force."""

    terms: Terms
    effective_from: datetime
    effective_until: datetime | None = None

    def covers(self, time: datetime) -> bool:
        """Whether the version is in force at `time`."""
        return self.effective_from <= time and (
            self.effective_until is None or time < self.effective_until
        )


@dataclass(frozen=True, slots=True)
class TaxRate:
    """What a tax is from an instant on, until its next rate."""

    effective_from: datetime
    basis_points: int


@dataclass(frozen=True, slots=True)
class Tax:
    """A tax code and its rates: the law changes on its own day."""

    code: str
    number: int
    """Part of the number of `hub.tax.<code>`."""
    rates: tuple[TaxRate, ...]
    """By instant, the oldest first; at least one."""

    def basis_points_at(self, time: datetime) -> int:
        """The rate in force at `time`; before the first one, nothing is taxed."""
        begun = [rate for rate in self.rates if rate.effective_from <= time]
        return begun[-1].basis_points if begun else 0


@dataclass(frozen=True, slots=True)
class Registry:
    """The snapshot. Mappings are never changed in place."""

    revision: int = 0
    """The head row's terms revision that this snapshot shows."""
    partners: Mapping[str, Partner] = field(default_factory=lambda: MappingProxyType({}))
    programs: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    """Program id to the id of its partner."""
    units: Mapping[str, Unit] = field(default_factory=lambda: MappingProxyType({}))
    currencies: Mapping[str, CurrencyScale] = field(default_factory=lambda: MappingProxyType({}))
    taxes: Mapping[str, Tax] = field(default_factory=lambda: MappingProxyType({}))
    keys: Mapping[str, RegisteredKey] = field(default_factory=lambda: MappingProxyType({}))
    agreements: Mapping[tuple[str, int], Force] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """Activated versions by agreement id and version."""
    link_required: frozenset[str] = frozenset()
    """Programs that no order may touch without naming a link."""
    frozen_members: Mapping[tuple[str, str], frozenset[UUID]] = field(
        default_factory=lambda: MappingProxyType({})
    )
    """By program and reference: the links for which a member is frozen."""
    restraints: Restraints = field(default_factory=Restraints)
    worths: Worths | None = field(default=None, compare=False)
    """Where they are known, worths of the programs' points at which no agreement gains that is in
    force or will be. They follow from the agreements, and are kept because finding them costs."""
    operators: Mapping[str, frozenset[Role]] = field(default_factory=lambda: MappingProxyType({}))
    """What each operator may do, by name; one without any role may not call."""
    environment: Environment = Environment.DEVELOPMENT
    """What the deployment is for; it never changes."""
    altered: frozenset[tuple[str, int]] = frozenset()
    """Activated versions whose stored rows are not what was signed and logged, by agreement id and
    version: nothing is converted by them."""
    routes: Mapping[str, Route] = field(default_factory=lambda: MappingProxyType({}))
    """By what way instructions reach programs, of those for which it was ever set."""

    def points_unit(self, program_id: str) -> Unit:
        """The unit of a registered program's points."""
        return self.units[f"PTS:{program_id}"]

    def partner_of_program(self, program_id: str) -> Partner:
        """The brand of a registered program."""
        return self.partners[self.programs[program_id]]

    def with_partner(
        self, partner: Partner, units: tuple[Unit, ...], scale: CurrencyScale
    ) -> "Registry":
        """The snapshot after a partner, its programs and its new units were added."""
        return replace(
            self,
            partners={**self.partners, partner.partner_id: partner},
            programs={**self.programs, **dict.fromkeys(partner.programs, partner.partner_id)},
            units={**self.units, **{unit.name: unit for unit in units}},
            currencies={**self.currencies, scale.code: scale},
        )

    def with_key(self, key: RegisteredKey) -> "Registry":
        """The snapshot after a key was registered."""
        return replace(self, keys={**self.keys, key.key_id: key})

    def with_tax(self, tax: Tax) -> "Registry":
        """The snapshot after a code was added, or one of its rates."""
        return replace(self, taxes={**self.taxes, tax.code: tax})

    def with_partner_state(self, partner_id: str, state: PartnerState) -> "Registry":
        """The snapshot after a step in a partner's life."""
        moved = replace(self.partners[partner_id], state=state)
        return replace(self, partners={**self.partners, partner_id: moved})

    def with_operator(self, name: str, roles: frozenset[Role]) -> "Registry":
        """The snapshot after an operator got these roles and no others."""
        return replace(self, operators={**self.operators, name: roles})

    def with_altered(self, names: Iterable[tuple[str, int]]) -> "Registry":
        """The snapshot after rows of these versions were found altered."""
        return replace(self, altered=self.altered | frozenset(names))

    def with_force(self, force: Force) -> "Registry":
        """The snapshot after a version came into force; what was in force on its corridor ends when
        it begins.
        """
        ended = {
            name: replace(earlier, effective_until=force.effective_from)
            for name, earlier in self.agreements.items()
            if same_corridor(earlier.terms, force.terms) and earlier.covers(force.effective_from)
        }
        name = (force.terms.agreement_id, force.terms.version)
        return replace(self, agreements={**self.agreements, **ended, name: force})

    def with_links_required(self, program: str, *, required: bool) -> "Registry":
        """The snapshot after a program began or ceased to demand links."""
        changed = self.link_required - {program} | ({program} if required else set())
        return replace(self, link_required=changed)

    def with_frozen(
        self, link_id: UUID, members: Iterable[tuple[str, str]], *, frozen: bool
    ) -> "Registry":
        """The snapshot after members were frozen for a link, or are so no longer."""
        changed = dict(self.frozen_members)
        for member in members:
            links = changed.pop(member, frozenset()) - {link_id} | ({link_id} if frozen else set())
            if links:
                changed[member] = links
        return replace(self, frozen_members=changed)

    def with_switches(self, switches: Switches) -> "Registry":
        """The snapshot after a subject's switches were set."""
        return replace(self, restraints=self.restraints.with_switches(switches))

    def with_limits(self, limits: Limits) -> "Registry":
        """The snapshot after a subject's limits were set; a partner's cap is in its own value
        too.
        """
        partners = self.partners
        if isinstance(limits, PartnerLimits):
            partner = replace(partners[limits.partner_id], net_debit_cap=limits.net_debit_cap)
            partners = {**partners, partner.partner_id: partner}
        return replace(self, partners=partners, restraints=self.restraints.with_limits(limits))

    def with_route(self, route: Route) -> "Registry":
        """The snapshot after a program's route was set."""
        return replace(self, routes={**self.routes, route.program: route})

    def route_of(self, program: str) -> Route:
        """The way to a program; none until one is set."""
        return self.routes.get(program) or Route(program)

    def limits_of(self, partner: Partner) -> PartnerLimits:
        """A partner's limits: those with which it was registered until others are set."""
        found = self.restraints.partner_limits.get(partner.partner_id)
        return found or PartnerLimits(partner.partner_id, net_debit_cap=partner.net_debit_cap)

    def with_end(self, name: tuple[str, int], effective_until: datetime) -> "Registry":
        """The snapshot after an activated version was given an end."""
        force = replace(self.agreements[name], effective_until=effective_until)
        return replace(self, agreements={**self.agreements, name: force})


def same_corridor(one: Terms, other: Terms) -> bool:
    """Whether both convert the same program's points into the same program's."""
    return (one.source_program, one.target_program) == (other.source_program, other.target_program)
