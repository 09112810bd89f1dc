"""What is true of every course once it has come to rest. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from uuid import UUID

from exchange.ledger.accounts import unit_of
from exchange.outcomes import Recorded, TransferState
from partners.program_port import Credit, InstructionKind, Reversal
from tests.simulation.brand import Brand
from tests.simulation.coalition import number_of
from tests.simulation.database import CONCLUDED
from tests.simulation.world import World


def broken_laws(world: World) -> Iterator[str]:
    """Every law that does not hold, in words."""
    ends = endings(world)
    yield from broken_within(world)
    for name in ends:
        yield from each_transfer_ends_alike_on_both_sides(world, name, ends[name])
    yield from brands_gave_once_and_in_order(world, ends)
    yield from brands_agree_with_the_books(world)
    if world.contradictions:
        yield f"honest brands were said to contradict themselves: {world.contradictions}"
    yield from what_comes_still_later_changes_nothing(world)


def broken_within(world: World) -> Iterator[str]:
    """The laws that hold whatever brands say."""
    for name, outcomes in endings(world).items():
        yield from each_transfer_ends_once(name, outcomes)
    yield from nothing_is_left_but_for_people(world)
    yield from books_balance(world)


def endings(world: World) -> dict[UUID, list[Recorded]]:
    """What was recorded of each transfer that was not refused."""
    found: dict[UUID, list[Recorded]] = defaultdict(list)
    for each in world.outcomes:
        if each.state is not TransferState.REFUSED:
            found[each.order.transfer_id].append(each)
    return found


def each_transfer_ends_once(name: UUID, outcomes: list[Recorded]) -> Iterator[str]:
    """At once, or after it was reserved: committed or aborted."""
    states = [each.state for each in outcomes]
    committed, aborted = TransferState.COMMITTED, TransferState.ABORTED
    if states not in (
        [committed],
        [TransferState.RESERVED, committed],
        [TransferState.RESERVED, aborted],
    ):
        yield f"transfer {number_of(name)} went {' → '.join(states)}"


def each_transfer_ends_alike_on_both_sides(
    world: World, name: UUID, outcomes: list[Recorded]
) -> Iterator[str]:
    """Committed where the brand gave, and only there; aborted where it never will."""
    states = [each.state for each in outcomes]
    committed = TransferState.COMMITTED
    key = name, InstructionKind.CREDIT
    brand = world.brands[outcomes[0].order.target_program]
    gave = any(each.transfer_id == name for each in brand.record)
    answer = brand.answers.get(key)
    if states == [committed]:
        undone = any(each.undoes and each.order.transfer_id == name for each in world.reversals)
        left = {each.key for each in world.database.standing() if world.waits_for_people(each)}
        if gave + undone + (key in left) != 1:
            yield f"promised transfer {number_of(name)} was given: {gave}, and undone: {undone}"
    elif states[-1] is committed:
        if not gave:
            yield f"transfer {number_of(name)} is committed, and was not given"
    elif gave:
        yield f"transfer {number_of(name)} is aborted, and was given"
    elif answer is None and key in brand.heard:
        yield f"transfer {number_of(name)} was sent, and is aborted without proof"


def nothing_is_left_but_for_people(world: World) -> Iterator[str]:
    """Every instruction is concluded; or a promise was broken with nobody's signature, or a liar
    signed that it took back more than it gave.
    """
    for each in world.database.standing():
        disputed = world.plan.lies and each.key[1] is InstructionKind.REVERSE
        people = each.committed and (disputed or world.waits_for_people(each))
        if each.state != CONCLUDED and not people:
            yield f"transfer {number_of(each.key[0])} is still {each.state}"


def brands_gave_once_and_in_order(world: World, ends: dict[UUID, list[Recorded]]) -> Iterator[str]:
    """By the brands' own records: no transfer twice, and of a member the older before the newer."""
    for brand in world.brands.values():
        names = [each.transfer_id for each in brand.record]
        if len(set(names)) < len(names):
            yield f"{brand.name} gave a transfer twice: {[*map(number_of, names)]}"
        for member in {each.member for each in brand.record}:
            indexes = [
                ends[each.transfer_id][0].log_index
                for each in brand.record
                if each.member == member
            ]
            if indexes != sorted(indexes):
                yield f"{brand.name} gave {member} in the order of the entries {indexes}"


def books_balance(world: World) -> Iterator[str]:
    """No holds are left, every unit sums to zero, and members have what the records come to."""
    sums: Counter[int] = Counter()
    balances = world.database.balances()
    for number, balance in balances.items():
        sums[unit_of(number)] += balance.posted
        if balance.debits_pending or balance.credits_pending:
            yield f"account {number} still has holds"
    if any(sums.values()):
        yield f"units do not sum to zero: {sums}"
    registry = world.database.registry
    for name in world.brands:
        unit = registry.points_unit(name).number
        members, issuer, redeemed, granted = (balances[unit << 20 | n].posted for n in (1, 2, 3, 4))
        if members + issuer + redeemed + granted:
            yield f"the accounts of {name} do not sum to zero"
        moved = points_moved(world, name)
        if members != moved:
            yield f"the members of {name} have {members} points in the books, {moved} by records"


def brands_agree_with_the_books(world: World) -> Iterator[str]:
    """What a brand gave and took back by its own record is what the books say."""
    for name, brand in world.brands.items():
        credited, gave = points_credited(world, name), sum(each.points for each in brand.record)
        if credited != gave:
            yield f"{name} gave {gave} points by its record, {credited} by the books"
        yield from reversals_agree(world, brand)


def reversals_agree(world: World, brand: Brand) -> Iterator[str]:
    """What a brand took back is booked back, and nothing else but what it never gave."""
    waiting = {each.key[0] for each in world.database.standing() if world.waits_for_people(each)}
    booked: Counter[UUID] = Counter()
    for each in world.reversals:
        if each.portion is not None and not each.undoes:
            booked[each.order.transfer_id] += each.portion.target_points
    for key, answer in brand.answers.items():
        instruction = brand.seen.get(key)
        if key[0] in waiting and isinstance(instruction, Reversal):
            booked[instruction.transfer_id] += answer.points
    for given in brand.record:
        taken = brand.taken_of(given.transfer_id)
        if booked[given.transfer_id] != taken:
            yield (
                f"{brand.name} took {taken} points of {number_of(given.transfer_id)} back,"
                f" {booked[given.transfer_id]} by the books"
            )


def points_moved(world: World, program: str) -> int:
    """What the records come to for a program's members."""
    moved = 0
    for each in world.outcomes:
        if each.state is TransferState.COMMITTED and each.conversion is not None:
            moved += each.conversion.target_points * (each.order.target_program == program)
            moved -= each.order.source_points * (each.order.source_program == program)
    for back in world.reversals:
        if back.portion is not None and back.original is not None and back.original.terms:
            terms = back.original.terms
            moved -= back.portion.target_points * (terms.target_program == program)
            moved += back.portion.source_points * (terms.source_program == program)
    return moved


def points_credited(world: World, program: str) -> int:
    """What the exchange has a program's word for, and people's who spoke in its place."""
    waiting = {each.key[0] for each in world.database.standing() if world.waits_for_people(each)}
    committed = {
        each.order.transfer_id: each.conversion.target_points
        for each in world.outcomes
        if each.state is TransferState.COMMITTED
        and each.conversion is not None
        and each.order.target_program == program
        and each.order.transfer_id not in waiting
    }
    undone = {each.order.transfer_id for each in world.reversals if each.undoes}
    return sum(points for name, points in committed.items() if name not in undone)


def what_comes_still_later_changes_nothing(world: World) -> Iterator[str]:
    """Everything that ever came to a brand comes once more."""
    for brand in world.brands.values():
        before = list(brand.record), list(brand.taken)
        for told in list(brand.seen.values()):
            if isinstance(told, Credit):
                brand.credit(told)
            else:
                brand.reverse(told)
        if (brand.record, brand.taken) != before:
            yield f"{brand.name} gave again what came again"
