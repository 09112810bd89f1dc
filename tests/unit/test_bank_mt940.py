"""MT940: read whole by the standard's grammar, or refused by name."""

import re
from datetime import date
from decimal import Decimal

import mt940
import pytest

from partners.errors import Reason, Refused
from settlement.bank.reading import parse_bank_file
from settlement.bank.statement import BankEntry, EntryKind, FileFormat
from settlement.bank_simulator import Paper, PaymentRequest, bank_day

GOOD = """{1:F01BANKDEFFXXXX0000000000}{2:I940BANKDEFFXXXXN}{4:
:20:STARTUMS
:25:BANKDEFF/1234567890
:28C:00031/001
:60F:C240228EUR1000,
:61:2402280229CR6,30NTRFNONREF//B-1
/supplementary
:86:166?00GUTSCHRIFT?20EREF+NOTPROVIDED?21SVWZ+RF18 W000001P00
?2201?32AURORA GMBH?33 BERLIN
:61:240229D6,15N001RF88W000001P0002//B-2
:61:2402290229DR1,2NCHGNONREF//B-3
:86:account keeping
:61:240229CR0,05NINTNONREF//B-4
:61:240229RC3,NRTINONREF//B-5
:61:240229RD1,NRTINONREF//B-6
:62F:C240229EUR997,
:64:C240229EUR997,
:86:for your information
-}
"""


def entries(text: str = GOOD) -> tuple[BankEntry, ...]:
    return parse_bank_file(text.encode()).entries


def test_a_statement_is_read_with_all_that_its_entries_say() -> None:
    file = parse_bank_file(GOOD.encode())
    assert file.format is FileFormat.MT940
    assert (file.account, file.statement_id) == ("BANKDEFF/1234567890", "STARTUMS/31/2024-02-29")
    assert (file.opening, file.closing) == (1_000_000_000, 997_000_000)
    assert [each.amount for each in file.entries] == [
        6_300_000,
        -6_150_000,
        -1_200_000,
        50_000,
        -3_000_000,
        1_000_000,
    ]
    first = file.entries[0]
    assert (first.entry_id, first.booking_date) == ("B-1", date(2024, 2, 29))
    assert "RF18 W000001P0001" in first.parts[0].reference
    assert first.parts[0].name == "AURORA GMBH BERLIN"
    assert file.entries[1].parts[0].reference == "RF88W000001P0002"
    assert [each.kind for each in file.entries[2:4]] == [EntryKind.CHARGE, EntryKind.INTEREST]
    assert [each.is_reversal for each in file.entries] == [False] * 4 + [True] * 2


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("frame", [True, False])
def test_banks_write_it_in_blocks_or_bare_and_with_either_line_end(end: str, frame: bool) -> None:
    text = GOOD if frame else re.sub(r"\{1.*\n|-\}\n", "", GOOD)
    assert entries(text.replace("\n", end)) == entries()


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (":61:2402280229CR6,30", ":61:2402280229CR6.30", ":61:"),
        (":61:2402280229CR6,30", ":61:2402280229CR1.234,50", ":61:"),
        (":61:2402280229CR6,30", ":61:2402280229CR1,234.50", ":61:"),
        (":61:2402280229CR6,30", ":61:2402280229CR6", ":61:"),
        (":61:2402280229CR6,30", ":61:2402280229CR6,305", "entries[B-1]"),
        (":61:2402280229CR6,30", ":61:2402280229ER6,30", ":61:"),
        (":61:2402280229CR6,30", ":61:2402280229CX6,30", "entries[B-1]"),
        (":61:2402280229CR6,30", ":61:2402300229CR6,30", "entries[B-1]"),
        (":61:2402280229CR6,30", ":61:2402281301CR6,30", "entries[B-1]"),
        (":61:2402280229CR6,30", ":61:28.02.24CR6,30", ":61:"),
        (":61:2402280229CR6,30", ":61:2402280229CR0,", "entries[B-1]"),
        ("C240228EUR1000,", "C240228EUR1.000,00", ":60F:"),
        ("C240228EUR1000,", "C240228EUR1000", ":60F:"),
        ("C240228EUR1000,", "C240230EUR1000,", ":60F:"),
        ("C240228EUR1000,", "C240228XXY1000,", "currency"),
        ("C240228EUR1000,", "C240228USD1000,", ":62F:"),
        ("C240228EUR1000,", "D240228EUR1000,", "closing"),
        ("C240228EUR1000,", "C240301EUR1000,", ":62F:"),
        (":62F:C240229EUR997,", ":62F:C240229EUR998,", "closing"),
        (":62F:C240229EUR997,\n", "", "content"),
        (":28C:00031/001", ":28C:31-1", ":28C:"),
        (":25:BANKDEFF/1234567890\n", "", "content"),
        (":25:", ":99:", "content"),
        ("B-2", "B-1", "entries.entry_id"),
        ("{4:\n", "{4:\nfree text\n", "content"),
        ("AURORA", "AURORÄ\ufeff", "content"),
        (":62F:", ":62M:", ":62M:"),
        (":60F:", ":60M:", ":60M:"),
    ],
)
def test_a_file_with_one_fault_is_refused_naming_it(old: str, new: str, field: str) -> None:
    assert old in GOOD
    with pytest.raises(Refused) as refused:
        entries(GOOD.replace(old, new, 1))
    assert (refused.value.reason, refused.value.field) == (Reason.BANK_FILE_REFUSED, field)


def test_a_name_in_another_encoding_is_refused_naming_the_line() -> None:
    wrong = GOOD.replace("AURORA", "MÜNCHEN").encode("latin-1")
    with pytest.raises(Refused, match="line 9 is not UTF-8"):
        parse_bank_file(wrong)


def test_an_entry_without_the_banks_reference_is_named_by_its_place() -> None:
    named = entries(GOOD.replace("//B-2", "").replace("B-3", "NONREF"))
    assert [each.entry_id for each in named[1:3]] == [
        "STARTUMS/31/2024-02-29/1#2",
        "STARTUMS/31/2024-02-29/1#3",
    ]


def test_a_booking_date_is_the_one_nearest_to_the_value_date() -> None:
    def booked(dates: str) -> date:
        text = GOOD.replace(":61:2402280229", f":61:{dates}", 1)
        return entries(text)[0].booking_date

    assert booked("2401020101") == date(2024, 1, 1)
    assert booked("2401021231") == date(2023, 12, 31)
    assert booked("2312310101") == date(2024, 1, 1)
    assert booked("230301") == date(2023, 3, 1)


PAGES = """:20:A
:25:1
:28C:7/1
:60F:C240228EUR1,
:61:240228C1,NTRFNONREF//P-1
:62M:C240228EUR2,
-
:20:A
:25:1
:28C:7/2
:60M:C240228EUR2,
:61:240228C1,NTRFNONREF//P-2
:62F:C240228EUR3,
-
:20:A
:25:1
:28C:8/1
:60F:C240228EUR3,
:62F:C240229EUR3,
-
"""


def test_pages_are_one_statement_and_statements_follow_one_on_the_other() -> None:
    file = parse_bank_file(PAGES.encode())
    assert [each.number for each in file.statements] == [7, 8]
    assert (file.opening, file.closing) == (1_000_000, 3_000_000)
    assert [each.entry_id for each in file.entries] == ["P-1", "P-2"]
    bare = PAGES.replace("-\n:20:", ":20:")
    assert parse_bank_file(bare.encode()).statements == file.statements


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        (":28C:7/2", ":28C:7/3", ":60M:"),
        (":28C:7/2", ":28C:6/2", ":60M:"),
        (":60M:C240228EUR2,", ":60M:C240228EUR1,", ":60M:"),
        (":60M:", ":60F:", ":60M:"),
        ("3,\n:62F", "4,\n:62F", "closing"),
        (":28C:8/1", ":28C:9/1", "number"),
        (":25:1\n:28C:8", ":25:2\n:28C:8", "account"),
        ("EUR3,\n:62F:C240229EUR3,", "EUR4,\n:62F:C240229EUR4,", "opening"),
        ("EUR3,\n:62F:C240229EUR3,", "USD3,\n:62F:C240229USD3,", "currency"),
        (":28C:8/1", ":28C:7/1", "statement_id"),
    ],
)
def test_pages_and_statements_that_do_not_follow_are_refused(
    old: str, new: str, field: str
) -> None:
    assert old in PAGES
    text = PAGES.replace(old, new, 1)
    if field == "statement_id":
        text = text.replace("240229", "240228")
    with pytest.raises(Refused) as refused:
        parse_bank_file(text.encode())
    assert refused.value.field == field


def test_a_file_that_is_cut_after_its_first_page_is_refused() -> None:
    with pytest.raises(Refused, match="last page"):
        parse_bank_file(PAGES[: PAGES.index("-\n")].encode())


def test_another_program_reads_the_same_in_what_the_simulated_bank_writes() -> None:
    requests = [
        PaymentRequest("PAY_OUT", Decimal("6.15"), "RF88W000001P0002", "borealis"),
        PaymentRequest("PAY_IN", Decimal("1234567.89"), "RF18W000001P0001", "aurora"),
    ]
    made = bank_day("S1", "EUR", date(2024, 2, 29), Decimal(0), requests, paper=Paper.MT940)
    theirs = mt940.models.Transactions()
    theirs.parse(made.content.decode())
    ours = parse_bank_file(made.content)
    assert [each.data["amount"].amount * 1_000_000 for each in theirs] == [
        each.amount for each in ours.entries
    ]
    assert theirs.data["final_closing_balance"].amount.amount * 1_000_000 == ours.closing
