"""Sample papers: they are what real ones are, and a reconciliation finds what was planted and
nothing else.
"""

import csv
import io
from collections import Counter
from collections.abc import Mapping

import pytest

from exchange.cli.checks.archive import PartnerFiles, Report, check_archive
from exchange.cli.checks.verification import KnownKey
from partners.errors import Refused
from partners.keys import Purpose
from settlement.bank.reading import parse_bank_file
from settlement.bank.statement import BankFile
from settlement.lines.line import REVERSED, Line, Role
from settlement.lines.line_file import read_line_file
from settlement.sample.folder import Sample, sample
from settlement.sample.wire import Brand

AUDIENCE = "pointclear.test/sandbox"
AURORA = Brand("aurora", "Aurora Air", "miles")
WINDOWS = ("cny-2026-03-02", "cny-2026-03-03")
SEEDS = range(12)


def made(seed: int = 1, own: Brand = AURORA, currency: str = "CNY") -> Sample:
    return sample(AUDIENCE, own, currency, seed)


def verified(of: Sample) -> Report:
    """What the offline verifier, which is written apart, says of it."""
    partners = sorted({name.split("/")[0] for name in of.files if name.endswith(".jsonl")})
    keys = {key.key_id: KnownKey(key, "exchange", purpose) for purpose, key in of.keys.items()}
    return check_archive([files_of(of, partner) for partner in partners], keys)


def files_of(of: Sample, partner: str) -> PartnerFiles:
    own = {name: content for name, content in of.files.items() if name.startswith(f"{partner}/")}

    def by_window(end: str) -> dict[str, bytes]:
        return {
            name.removeprefix(f"{partner}/").removesuffix(end): content
            for name, content in own.items()
            if name.endswith(end)
        }

    statements = by_window(".statement.json")
    return PartnerFiles(
        partner,
        f"{partner}/",
        own[f"{partner}/receipts.jsonl"].decode().splitlines(),
        {window: text.decode() for window, text in statements.items()},
        by_window(".lines.csv"),
    )


@pytest.mark.parametrize("seed", SEEDS)
def test_all_that_is_signed_verifies_in_whole_windows(seed: int) -> None:
    report = verified(made(seed))
    assert report.faults == ()
    assert report.not_checked == ()
    assert report.checked["windows"] == 2
    assert report.checked["statements"] == 6
    assert [kind for kind, count in report.checked.items() if not count] == ["reversal notices"]


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    first, again, other = made(1), made(1), made(2)
    assert first == again
    assert first.files.keys() == other.files.keys()
    assert all(first.files[name] != other.files[name] for name in first.files)


@pytest.mark.parametrize("currency", ["CNY", "JPY", "KWD"])
def test_any_currency_and_any_partner_will_do(currency: str) -> None:
    for own in (AURORA, Brand("mirror", "M", "harbor"), Brand("a" * 64, "A", "b" * 64)):
        of = made(1, own, currency)
        assert verified(of).faults == ()
        assert f"{own.partner_id}/{currency.lower()}-2026-03-02.own.csv" in of.files


def test_what_is_no_currency_is_refused_by_name() -> None:
    with pytest.raises(Refused, match="ISO 4217"):
        made(1, AURORA, "XYZ")


# Reconciliation, as a newcomer would write it


def own_rows(of: Sample, window: str) -> list[dict[str, str]]:
    *rows, total, end = csv.DictReader(
        io.StringIO(of.files[f"aurora/{window}.own.csv"].decode(), newline="")
    )
    assert {row["row"] for row in rows} == {"ROW"}
    assert (total["row"], int(total["transfer_id"])) == ("TOTAL", len(rows))
    assert int(total["points"]) == sum(int(row["points"]) for row in rows)
    assert (end["row"], end["transfer_id"]) == ("END", window.removeprefix("cny-"))
    return rows


def moved_lines(of: Sample, window: str) -> dict[str, Line]:
    lines = read_line_file(of.files[f"aurora/{window}.lines.csv"]).lines
    return {str(line.transfer_id): line for line in lines if line.role is not Role.FUNDER}


def points_of(line: Line) -> int:
    return line.source_points if line.role is Role.SOURCE else line.target_points


def breaks(of: Sample) -> Mapping[str, list[str]]:
    """The first day's breaks, told apart with the help of the second."""
    rows, lines = own_rows(of, WINDOWS[0]), moved_lines(of, WINDOWS[0])
    counts = Counter(row["transfer_id"] for row in rows)
    next_day = {row["transfer_id"] for row in own_rows(of, WINDOWS[1])}
    absent = lines.keys() - counts.keys()
    assert counts.keys() <= lines.keys()
    return {
        "MISSING_AT_PARTNER": sorted(absent - next_day),
        "TIMING": sorted(absent & next_day),
        "DUPLICATE_AT_PARTNER": [name for name, count in counts.items() if count > 1],
        "POINTS_MISMATCH": [
            row["transfer_id"]
            for row in rows
            if int(row["points"]) != points_of(lines[row["transfer_id"]])
        ],
    }


@pytest.mark.parametrize("seed", SEEDS)
def test_a_reconciliation_finds_what_was_planted_and_nothing_else(seed: int) -> None:
    of = made(seed)
    assert breaks(of) == {each.kind: [str(each.transfer_id)] for each in of.planted}
    page = of.files["README.md"].decode()
    assert all(f"| {each.kind} | `{each.transfer_id}` |" in page for each in of.planted)
    second = {row["transfer_id"] for row in own_rows(of, WINDOWS[1])}
    timing = {str(each.transfer_id) for each in of.planted if each.kind == "TIMING"}
    assert second == moved_lines(of, WINDOWS[1]).keys() | timing


@pytest.mark.parametrize("seed", SEEDS)
def test_all_kinds_of_lines_and_a_refusal_occur(seed: int) -> None:
    of = made(seed)
    for window in WINDOWS:
        lines = read_line_file(of.files[f"aurora/{window}.lines.csv"]).lines
        assert {line.role for line in lines} == {*REVERSED}
        assert any(line.bonus_points for line in lines)
    streams = [name for name in of.files if name.endswith("receipts.jsonl")]
    receipts = sum(verified(of).checked[name] for name in ("receipts", "credit notices"))
    committed = sum(
        len([line for line in read_line_file(content).lines if line.role is not Role.FUNDER])
        for name, content in of.files.items()
        if name.endswith(".lines.csv")
    )
    # One order of each day was refused: its source has a receipt, and nobody a line.
    assert (len(streams), receipts) == (3, committed + 2)


# The bank


def bank_file(of: Sample, name: str) -> BankFile:
    return parse_bank_file(of.files[f"bank/{WINDOWS[0]}-{name}.bank.csv"])


@pytest.mark.parametrize("seed", SEEDS)
def test_the_bank_shows_partners_who_pay_on_time_short_and_late(seed: int) -> None:
    of = made(seed)
    paid, paid_out, short, late = (
        bank_file(of, name)
        for name in ("on-time-pay-in", "on-time-pay-out", "short-pay-in", "late-pay-in")
    )
    assert paid.entries
    assert paid.opening == 0
    assert "aurora" in {entry.parts[0].name for entry in paid.entries}
    assert paid_out.opening == paid.closing
    # Debtors pay up and creditors receive down, so that what came in covers what goes out.
    assert paid_out.closing >= 0
    one_unit = 10**paid.currency.scale
    assert [entry.amount + one_unit for entry in short.entries] == [
        entry.amount for entry in paid.entries if entry.amount > one_unit
    ]
    assert [
        (entry.amount, entry.parts[0].reference, (entry.booking_date - on_time.booking_date).days)
        for entry, on_time in zip(late.entries, paid.entries, strict=True)
    ] == [(entry.amount, entry.parts[0].reference, 3) for entry in paid.entries]


def test_the_samples_keys_are_for_receipts_and_statements_and_follow_from_the_seed() -> None:
    assert set(made(1).keys) == {Purpose.RECEIPTS, Purpose.STATEMENTS}
    assert made(1).keys == made(1, Brand("other", "Other", "other")).keys
    assert made(1).keys != made(2).keys
