"""Batches against a real PostgreSQL: what is written is what was decided, whoever wrote it."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from psycopg2 import DatabaseError

from exchange import reads
from exchange.batch import CommitUnknown, Decided, Ledger
from exchange.commands import Book, CloseWindow, Command, DecideHeld, Order, Verdict
from exchange.embedded_postgres import OWNER_ROLE
from exchange.fold import Cell, Limits, fold
from exchange.ledger.accounts import HubAccount, hub_account, position_account
from exchange.ledger.postings import Balance, Code, CreditCell, MoneyCell, PointsCell, Posting
from exchange.log.merkle import Frontier, leaf_data
from exchange.outcomes import Quoted, Recorded, Repeated, Reversed
from exchange.seal import Sealed
from partners.errors import Reason, Refused
from partners.merkle import leaf_hash, root_of
from partners.store import load_registry
from pointclear.exchange.v1.transfer_pb2 import CreditNotice, TransferReceipt
from tests import factories as make
from tests.database import Database, stored_frontier
from tests.property.histories import LIMITS, SWITCHES

TERMS = {name: make.terms_of(payload) for name, payload in make.AGREEMENTS.items()}


def a_ledger(database: Database, seed: str = "salt", now: datetime = make.NOW) -> Ledger:
    """What a server process holds."""
    return Ledger(database.engine(), make.LETTERHEAD, lambda: now, make.salts(seed))


def found(
    database: Database, cap: int = make.CAP, agreements: Iterable[bytes] | None = None
) -> Ledger:
    """A coalition that is ready to transfer; every version of its agreements is signed."""
    with database.connection() as connection:
        reads.QUERIES.ensure_request_partitions(connection, now=make.NOW)
    ledger = a_ledger(database, "founding", make.NOW - timedelta(minutes=1))
    ledger.run(make.founding(cap, agreements))
    ledger.now = lambda: make.NOW
    return ledger


def a_history(seed: int, length: int = 90) -> list[Command]:
    """Orders good and bad, replays, new terms, windows closing, money coming in."""
    chance = Random(seed)
    first_versions = [TERMS[(*corridor, 1)] for corridor in make.CORRIDORS]
    history: list[Command] = []
    days = 0
    for number in range(length):
        what = chance.random()
        if what < 0.08:
            of, points = chance.randint(1, number + 1), chance.choice([1, 7, 19, 40, 300])
            history.append(make.reverse(number, of, points, chance.choice(make.BRANDS)))
        elif what < 0.80:
            under = chance.choice(first_versions)
            if chance.random() < 0.2:
                under = TERMS[under.source_partner, under.target_partner, 2]
            points = chance.choice([10, 100, 100, 1_000, 20_000, 101, 5_000_000])
            history.append(make.an_order(number + 1, under, source_points=points))
        elif what < 0.88 and history:
            history.append(chance.choice(history))
        elif what < 0.92:
            name = f"cny-{make.DAY_ONE + timedelta(days=days)}"
            history.append(CloseWindow(name, None))
            days += 1
        elif what < 0.94:
            history.append(a_restraint(chance, number))
        elif what < 0.97:
            history.append(make.activate(make.AGREEMENTS[(*chance.choice(make.CORRIDORS), 2)]))
        else:
            history.append(a_payment(f"pay/{number}", chance.randint(1, 10**6)))
    return history


def a_restraint(chance: Random, number: int) -> Command:
    """Switches or limits of somebody."""
    if chance.random() < 0.3:
        verdict = chance.choice([Verdict.RELEASED, Verdict.REFUSED])
        return DecideHeld(make.transfer_id(chance.randint(1, number + 1)), verdict)
    if chance.random() < 0.6:
        return make.set_switches(number, chance.choice(SWITCHES))
    return make.set_limits(number, chance.choice(LIMITS))


def a_payment(entry_key: str, amount: int, brand: str = "grocery") -> Book:
    """Money of a brand arrives."""
    registry = make.a_registry()
    money = registry.units[make.CURRENCY].number
    posting = Posting(
        Code.PAY_IN,
        hub_account(money, HubAccount.BANK_SETTLEMENT),
        position_account(money, registry.partners[brand].number),
        amount,
    )
    return Book(entry_key, "application/json", b"%d" % amount, (posting,), make.CURRENCY)


@dataclass(frozen=True)
class Written:
    """Everything of a database that does not hang on random salts."""

    tables: tuple[tuple[str, tuple[object, ...]], ...]


def written(database: Database) -> Written:
    """The tables as they stand, and of the salted ones what is not salted."""
    queries = {
        "balance": "SELECT account_number, debits_pending, debits_posted, credits_pending,"
        " credits_posted, floor, ceiling FROM balance ORDER BY 1",
        "review": "SELECT * FROM review ORDER BY 1",
        "reversed_transfer": "SELECT * FROM reversed_transfer ORDER BY 1",
        "day_tally": "SELECT split_part(subject, '/', 1), day, transfers, amount FROM day_tally"
        " ORDER BY 1, 2, 3, 4",
        "restraint": "SELECT * FROM restraint ORDER BY 1, 2",
        "posting": "SELECT * FROM posting ORDER BY log_index, place",
        "record": "SELECT log_index, kind, transfer_id, entry_key, recorded_at FROM record"
        " ORDER BY 1",
        "request": "SELECT transfer_id, partner_number, payload, key_id, log_index FROM request"
        " ORDER BY 1",
        "window": "SELECT window_number, window_id, state, first_index, end_index"
        " FROM settlement_window ORDER BY 1",
        "sum": "SELECT * FROM window_sum ORDER BY 1, 2, 3, 4, 5",
        "points": "SELECT * FROM window_points ORDER BY 1, 2, 3",
        "stream": "SELECT partner_number, stream_seq, log_index, payload_kind FROM stream_entry"
        " ORDER BY 1, 2",
        "force": "SELECT agreement_id, version, effective::text, log_index FROM agreement_force"
        " ORDER BY 1, 2",
        "head": "SELECT next_index, recorded_at, terms_revision FROM head",
    }
    return Written(
        tuple(
            (name, tuple(tuple(map(plain, row)) for row in database.ask(query)))
            for name, query in queries.items()
        )
    )


def plain(value: object) -> object:
    """A column's value that compares."""
    return bytes(value) if isinstance(value, memoryview) else value


def shown(decided: Decided) -> tuple[object, ...]:
    """A decision without what the salts have touched."""
    result = decided.result
    index = None if isinstance(result, Refused | Quoted) else result.log_index
    reason = decided.refusal.reason if decided.refusal else None
    return type(result), index, reason, decided.receipt_payload is not None


def in_batches(ledger: Ledger, history: Sequence[Command], sizes: Iterable[int]) -> list[Decided]:
    """Carry a history out in batches of these sizes, the last of them again and again."""
    decided: list[Decided] = []
    steps = iter(sizes)
    size = next(steps)
    while len(decided) < len(history):
        decided += ledger.run(history[len(decided) : len(decided) + size])
        size = next(steps, size)
    return decided


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_one_batch_and_batches_of_one_and_any_split_write_the_same(
    fresh_database: Callable[[], Database], seed: int
) -> None:
    history = a_history(seed)
    chance = Random(seed)
    splits = [[len(history)], [1], [chance.randint(1, 20) for _ in history]]
    outcomes = []
    for sizes in splits:
        database = fresh_database()
        decided = in_batches(found(database), history, sizes)
        outcomes.append(([shown(each) for each in decided], written(database)))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] == outcomes[2]
    kinds = {row[0] for row in outcomes[0][0]}
    reasons = {row[2] for row in outcomes[0][0]}
    assert kinds >= {Recorded, Repeated, Reversed}
    assert reasons >= {None, Reason.NET_DEBIT_CAP_EXCEEDED, Reason.INCREMENT}


@pytest.mark.parametrize("seed", [1, 2])
def test_the_database_decides_what_the_fold_alone_decides(database: Database, seed: int) -> None:
    history = a_history(seed)
    decided = in_batches(found(database), history, [7])
    pure = fold(make.a_state(), history, make.NOW)
    assert [shown(each)[:2] for each in decided] == [
        (type(result), None if isinstance(result, Refused | Quoted) else result.log_index)
        for result in pure.results
    ]
    assert balances(database) == dict(pure.state.balances)
    assert sums(database) == dict(pure.state.window_sums)


@pytest.mark.parametrize("seed", [4, 5])
def test_two_processes_on_one_database_see_all_that_the_other_did(
    fresh_database: Callable[[], Database], seed: int
) -> None:
    history = a_history(seed)
    alone, shared = fresh_database(), fresh_database()
    expected = in_batches(found(alone), history, [3])
    two = (found(shared), a_ledger(shared, "another process"))
    decided: list[Decided] = []
    chance = Random(seed)
    while len(decided) < len(history):
        decided += chance.choice(two).run(history[len(decided) : len(decided) + 3])
    assert [shown(each) for each in decided] == [shown(each) for each in expected]
    assert written(shared) == written(alone)


def test_a_process_that_never_ran_a_batch_decides_as_the_one_that_ran_them_all(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run(a_history(6, 40))
    other = a_ledger(database, "other")
    for command in (make.an_order(900), make.an_order(901, source_points=999_998)):
        ledger.run([command])
        (repeated,) = other.run([command])
        assert isinstance(repeated.result, Repeated)
    (fresh,) = other.run([make.an_order(902)])
    assert isinstance(fresh.result, Recorded)
    (answer,) = ledger.run([make.an_order(902)])
    assert answer.result == Repeated(fresh.result.log_index, "grocery")


def test_replays_to_a_new_process_give_the_same_receipts_byte_for_byte(
    database: Database,
) -> None:
    history = a_history(7)
    orders = [each for each in history if isinstance(each, Order)]
    first: dict[Order, bytes | None] = {}
    for command, decided in zip(history, in_batches(found(database), history, [9]), strict=True):
        if isinstance(command, Order):
            first.setdefault(command, decided.receipt_payload)
    before = written(database)
    restarted = a_ledger(database, "restarted", make.NOW + timedelta(days=30))
    again = dict(zip(orders, restarted.run(orders), strict=True))
    assert {order: decided.receipt_payload for order, decided in again.items()} == first
    assert all(first.values())
    assert any(decided.refusal for decided in again.values())
    assert written(database) == before


def test_a_repeat_in_the_batch_of_its_first_gets_the_very_receipt(database: Database) -> None:
    order = make.an_order()
    first, again = found(database).run([order, order])
    assert isinstance(again.result, Repeated)
    assert again.receipt_payload == first.receipt_payload


def test_a_repeated_refusal_is_answered_in_its_first_words(database: Database) -> None:
    order = make.an_order(source_points=101)
    (first,) = found(database).run([order])
    (again,) = a_ledger(database).run([order])
    assert first.refusal is not None
    assert str(again.refusal) == str(first.refusal)
    assert first.refusal.reason is Reason.INCREMENT


def test_a_new_process_names_the_first_difference_of_a_modified_order(database: Database) -> None:
    found(database).run([make.an_order()])
    (decided,) = a_ledger(database).run([make.an_order(partner_reference="till 8")])
    assert decided.refusal is not None
    assert decided.refusal.reason is Reason.MODIFIED_REQUEST
    assert decided.refusal.field == "partner_reference"
    assert decided.receipt_payload is None


def test_the_snapshot_that_a_process_folds_is_the_one_that_another_loads(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run(a_history(8))
    ledger.run([make.add_partner("bistro", currency="USD"), make.add_partner("bakery")])
    with database.connection() as connection:
        loaded = load_registry(connection, ledger.registry.revision, make.AUDIENCE)
    assert loaded == ledger.registry


def test_balances_are_the_sums_of_their_postings(database: Database) -> None:
    found(database).run(a_history(9))
    sums: dict[int, int] = defaultdict(int)
    for debit, credit, amount in database.ask("SELECT debit, credit, amount FROM posting"):
        sums[debit] -= amount
        sums[credit] += amount
    assert sum(sums.values()) == 0
    assert any(sums.values())
    for number, balance in balances(database).items():
        assert balance.posted == sums[number]


def test_the_head_holds_the_root_over_all_stored_leaves_and_windows_that_of_their_size(
    database: Database,
) -> None:
    in_batches(found(database), a_history(10), [11])
    rows = database.ask("SELECT kind, salt, record, leaf_hash FROM record ORDER BY log_index")
    leaves = [bytes(row[3]) for row in rows]
    assert leaves == [leaf_hash(leaf_data(row[0], bytes(row[1]), bytes(row[2]))) for row in rows]
    frontier = stored_frontier(database)
    assert (frontier.size, frontier.root()) == (len(leaves), root_of(leaves))
    windows = database.ask(
        "SELECT first_index, first_root, end_index, end_root FROM settlement_window"
    )
    assert len(windows) > 1
    for first, first_root, end, end_root in windows:
        assert bytes(first_root) == root_of(leaves[:first])
        assert end is None or bytes(end_root) == root_of(leaves[:end])


def test_stored_streams_are_gapless_chained_and_end_where_their_heads_say(
    database: Database,
) -> None:
    in_batches(found(database), a_history(11), [5])
    heads = {row[0]: (row[1], bytes(row[2])) for row in database.ask("SELECT * FROM stream_head")}
    ends = {number: (0, bytes(32)) for number in heads}
    for number, seq, kind, payload in database.ask(
        "SELECT partner_number, stream_seq, payload_kind, payload FROM stream_entry ORDER BY 1, 2"
    ):
        message = (TransferReceipt if kind == 1 else CreditNotice).FromString(bytes(payload))
        assert (seq, message.stream_seq) == (ends[number][0] + 1,) * 2
        assert message.previous_sha256 == ends[number][1]
        ends[number] = (seq, hashlib.sha256(bytes(payload)).digest())
    assert ends == heads
    assert min(seq for seq, _digest in ends.values()) > 10


def test_member_references_stand_in_the_requests_and_nowhere_else(database: Database) -> None:
    in_batches(found(database), a_history(12), [50])
    tables = [
        name
        for (name,) in database.ask(
            "SELECT relname FROM pg_class JOIN pg_namespace AS n ON n.oid = relnamespace"
            " WHERE nspname = 'public' AND relkind IN ('r', 'p')"
        )
    ]
    canary = b"canary-".hex()
    found_in = {
        table
        for table in tables
        for (row,) in database.ask(f"SELECT t::text FROM {table} AS t", role=OWNER_ROLE)
        if canary in row or "canary-" in row
    }
    assert {name.split("_")[0] for name in found_in} == {"request"}


def test_an_order_refused_before_it_is_recorded_leaves_no_row(database: Database) -> None:
    ledger = found(database)
    ledger.run([make.an_order()])
    before = written(database)
    (modified,) = ledger.run([make.an_order(source_points=200)])
    (keyless,) = ledger.run([make.an_order(2, key_id="0" * 32)])
    assert isinstance(modified.result, Refused)
    assert isinstance(keyless.result, Refused)
    assert written(database) == before


def test_after_a_batch_that_the_database_refused_the_next_one_reads_everything_again(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run([make.an_order()])
    before = written(database)
    # No partition holds an id of that month; admission would have refused it.
    stray_id = make.transfer_id(2, datetime(2020, 1, 1, tzinfo=UTC))
    stray = make.an_order(2, transfer_id=stray_id.bytes)
    with pytest.raises(DatabaseError):
        ledger.run([make.an_order(3), stray])
    assert written(database) == before
    (decided,) = ledger.run([make.an_order(3)])
    assert isinstance(decided.result, Recorded)
    assert decided.refusal is None


def test_t24_a_batch_whose_commit_was_not_answered_is_looked_up_by_its_first_leaf(
    database: Database,
) -> None:
    ledger = found(database)
    ledger.run([make.an_order()])
    ((index, leaf),) = database.ask(
        "SELECT log_index, leaf_hash FROM record ORDER BY log_index DESC LIMIT 1"
    )
    sealed = Sealed((), (), Frontier(), {}, {})
    unknown = CommitUnknown((), sealed)
    assert ledger.was_committed(unknown), "a batch that wrote nothing lost nothing"
    unknown.log_index, unknown.leaf = index, bytes(leaf)
    assert ledger.was_committed(unknown)
    unknown.leaf = bytes(32)
    assert not ledger.was_committed(unknown), "another process's leaf stands there"
    unknown.log_index += 1
    assert not ledger.was_committed(unknown)


def test_t37_recorded_refusals_are_counted_across_processes(database: Database) -> None:
    two = (found(database), a_ledger(database, "another process"))
    for ledger in two:
        ledger.limits = Limits(refusals_per_minute=3)
    reasons: list[Reason | None] = []
    for number in range(1, 7):
        (decided,) = two[number % 2].run([make.an_order(number, source_points=101)])
        reasons.append(decided.refusal.reason if decided.refusal else None)
    assert reasons == [Reason.INCREMENT] * 3 + [Reason.RATE_LIMITED] * 3
    assert database.ask("SELECT count(*) FROM record WHERE kind = 2") == [(3,)]


def test_an_order_lies_in_the_partition_of_the_month_of_its_id(database: Database) -> None:
    ledger = found(database)
    earlier = make.transfer_id(2, make.NOW - timedelta(days=30))
    ledger.run([make.an_order(), make.an_order(2, transfer_id=earlier.bytes)])
    rows = database.ask("SELECT tableoid::regclass::text, transfer_id::text FROM request")
    assert dict(rows) == {
        "request_2026_07": str(make.transfer_id(1)),
        "request_2026_06": str(earlier),
    }


def test_both_ends_of_a_months_ids_are_stored_in_it(database: Database) -> None:
    ledger = found(database)
    edges = [
        datetime(2026, 7, 1, tzinfo=UTC),
        datetime(2026, 7, 31, 23, 59, 59, 999_000, tzinfo=UTC),
        datetime(2026, 8, 1, tzinfo=UTC),
    ]
    ledger.run(
        [
            make.an_order(number, transfer_id=make.transfer_id(number, at).bytes)
            for number, at in enumerate(edges, 1)
        ]
    )
    rows = database.ask("SELECT tableoid::regclass::text FROM request ORDER BY transfer_id")
    assert [name for (name,) in rows] == ["request_2026_07", "request_2026_07", "request_2026_08"]


def test_partitions_begin_where_the_oldest_does_and_leave_no_month_out(database: Database) -> None:
    def ensure(now: datetime) -> datetime:
        with database.connection() as connection:
            first: datetime = reads.QUERIES.ensure_request_partitions(connection, now=now)
            return first

    assert ensure(datetime(2026, 1, 31, tzinfo=UTC)) == datetime(2025, 12, 1, tzinfo=UTC)
    # The service was down for a quarter. An id of the months between is stored all the same.
    assert ensure(datetime(2026, 6, 15, tzinfo=UTC)) == datetime(2025, 12, 1, tzinfo=UTC)
    names = [
        name
        for (name,) in database.ask(
            r"SELECT relname FROM pg_class WHERE relname ~ '^request_\d{4}_\d{2}$' ORDER BY 1"
        )
    ]
    assert names == [
        "request_2025_12",
        *(f"request_2026_{month:02}" for month in range(1, 8)),
    ]


def test_amounts_that_the_books_could_not_hold_are_refused_and_fail_no_neighbour(
    database: Database,
) -> None:
    # Few target points of a tiny price, for as many source points as an order may name.
    vast = make.agreement_payload(
        rate=(2**61, 1),
        minimum_source_points=1,
        maximum_source_points=2**62,
        price_per_target_point=1,
    )
    ledger = found(database, agreements=[vast])
    orders = [
        make.an_order(number, make.terms_of(vast), source_points=2**61) for number in range(1, 9)
    ]
    reasons = [decided.refusal and decided.refusal.reason for decided in ledger.run(orders)]
    assert reasons[0] is None
    assert reasons[-1] is Reason.LIMIT_EXCEEDED


def test_t07_an_agreement_altered_by_sql_converts_nothing_any_more(database: Database) -> None:
    found(database)
    ((payload,),) = database.ask(
        "SELECT payload FROM agreement WHERE agreement_id = 'grocery-fuel' AND version = 1"
    )
    # The price, a varint after the tag of field 13, one unit lower.
    assert bytes(payload).count(b"\x68\x90\x99\x01") == 1
    altered = bytes(payload).replace(b"\x68\x90\x99\x01", b"\x68\x8f\x99\x01")
    database.tell("ALTER TABLE agreement DISABLE TRIGGER append_only", role=OWNER_ROLE)
    database.tell(
        "UPDATE agreement SET payload = %s WHERE agreement_id = 'grocery-fuel' AND version = 1",
        altered,
        role=OWNER_ROLE,
    )
    (decided,) = a_ledger(database).run([make.an_order()])
    assert decided.refusal is not None
    assert decided.refusal.reason is Reason.AGREEMENT_ALTERED


def balances(database: Database) -> dict[int, Balance]:
    """Every balance, by account number."""
    rows = database.ask(
        "SELECT account_number, debits_pending, debits_posted, credits_pending, credits_posted,"
        " floor, ceiling, credits_held FROM balance"
    )
    return {row[0]: Balance(*row[1:]) for row in rows}


def sums(database: Database) -> dict[Cell, int]:
    """Every window's sums."""
    money = database.ask(
        "SELECT window_number, party, counterparty, code, tax_number, amount FROM window_sum"
    )
    points = database.ask("SELECT window_number, unit_number, code, points FROM window_points")
    credits_ = database.ask("SELECT window_number, partner_number, amount FROM window_credit")
    return {
        **{(row[0], MoneyCell(row[1], row[2], Code(row[3]), row[4])): row[5] for row in money},
        **{(row[0], PointsCell(row[1], Code(row[2]))): row[3] for row in points},
        **{(row[0], CreditCell(row[1])): row[2] for row in credits_},
    }
