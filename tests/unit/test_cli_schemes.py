"""Schemes on the command line: what people type, and what they are shown of a cut-off."""

import pytest

from exchange.cli.settlement.scheme_commands import SchemeTerms, by_the_clock


def test_an_account_may_be_written_as_banks_print_it() -> None:
    terms = SchemeTerms(settlement_account="DE89 3704 0044 0532 0130 00", minimum_payout="1.50")
    assert terms.changes("EUR") == {
        "settlement_account": "DE89370400440532013000",
        "minimum_payout": 1_500_000,
    }


@pytest.mark.parametrize(
    ("next_cut_off", "zone", "shown"),
    [
        ("2026-11-23T01:30:00Z", "Europe/Berlin", "2026-11-23 02:30 in Europe/Berlin"),
        # 02:30 does not exist on this day: it is cut off when the clock shows 03:00.
        ("2027-03-28T01:00:00Z", "Europe/Berlin", "2027-03-28 03:00 in Europe/Berlin"),
        (None, "Europe/Berlin", ""),
        ("2026-11-23T01:30:00Z", "Mars/Olympus", ""),
    ],
)
def test_the_next_cut_off_is_shown_by_the_wall_clock(
    next_cut_off: str | None, zone: str, shown: str
) -> None:
    assert by_the_clock({"next_cut_off": next_cut_off, "zone": zone}) == shown
