"""camt.053: read in all its versions, or refused by name; and nothing is read from elsewhere."""

import re
from datetime import date
from decimal import Decimal

import pytest

from partners.errors import Reason, Refused
from settlement.bank.reading import parse_bank_file
from settlement.bank.statement import BankEntry, EntryKind, FileFormat
from settlement.bank_papers import Booking, Day, camt053_of

GOOD = """<?xml version="1.0" encoding="UTF-8"?>
<!-- a comment -->
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08">
 <BkToCstmrStmt>
  <GrpHdr><MsgId>M</MsgId><CreDtTm>2024-02-29T23:00:00</CreDtTm></GrpHdr>
  <Stmt>
   <Id>2024-31</Id>
   <StmtPgntn><PgNb>1</PgNb><LastPgInd>true</LastPgInd></StmtPgntn>
   <ElctrncSeqNb>31</ElctrncSeqNb>
   <Acct><Id><IBAN>DE89370400440532013000</IBAN></Id><Ccy>EUR</Ccy></Acct>
   <Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">100.5</Amt>
    <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2024-02-28</Dt></Dt></Bal>
   <Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">104.40</Amt>
    <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2024-02-29</Dt></Dt></Bal>
   <Bal><Tp><CdOrPrtry><Cd>CLAV</Cd></CdOrPrtry></Tp><Amt Ccy="EUR">7</Amt>
    <CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2024-02-29</Dt></Dt></Bal>
   <TxsSummry>
    <TtlNtries><NbOfNtries>4</NbOfNtries><Sum>17.90</Sum></TtlNtries>
    <TtlCdtNtries><NbOfNtries>2</NbOfNtries><Sum>10.9</Sum></TtlCdtNtries>
    <TtlDbtNtries><NbOfNtries>2</NbOfNtries><Sum>7.00</Sum></TtlDbtNtries>
   </TxsSummry>
   <Ntry>
    <NtryRef>1</NtryRef><Amt Ccy="EUR">10.00</Amt><CdtDbtInd>CRDT</CdtDbtInd>
    <Sts><Cd>BOOK</Cd></Sts><BookgDt><DtTm>2024-02-29T10:00:00+01:00</DtTm></BookgDt>
    <AcctSvcrRef>B-1</AcctSvcrRef>
    <NtryDtls><Btch><NbOfTxs>2</NbOfTxs></Btch>
     <TxDtls><Refs><EndToEndId>E-1</EndToEndId></Refs><Amt Ccy="EUR">6.30</Amt>
      <CdtDbtInd>CRDT</CdtDbtInd><RltdPties><Dbtr><Pty><Nm>Aurora</Nm></Pty></Dbtr></RltdPties>
      <RmtInf><Strd><CdtrRefInf><Ref>RF18W000001P0001</Ref></CdtrRefInf></Strd></RmtInf></TxDtls>
     <TxDtls><Amt Ccy="EUR">3.70</Amt>
      <RmtInf><Ustrd>for RF18 W0000</Ustrd><Ustrd>01P0001, thanks</Ustrd></RmtInf></TxDtls>
    </NtryDtls>
   </Ntry>
   <Ntry>
    <Amt Ccy="EUR">6.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><RvslInd>true</RvslInd>
    <Sts><Cd>BOOK</Cd></Sts><BookgDt><Dt>2024-02-29</Dt></BookgDt>
    <NtryDtls><TxDtls><Refs><AcctSvcrRef>B-2</AcctSvcrRef></Refs></TxDtls></NtryDtls>
   </Ntry>
   <Ntry>
    <Amt Ccy="EUR">1</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
    <ValDt><Dt>2024-02-29Z</Dt></ValDt><AcctSvcrRef>B-3</AcctSvcrRef>
    <BkTxCd><Domn><Cd>ACMT</Cd><Fmly><Cd>MDOP</Cd><SubFmlyCd>CHRG</SubFmlyCd></Fmly></Domn></BkTxCd>
   </Ntry>
   <Ntry>
    <Amt Ccy="EUR">0.90</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
    <BookgDt><Dt>2024-02-29</Dt></BookgDt><AcctSvcrRef>B-4</AcctSvcrRef>
    <BkTxCd><Domn><Cd>ACMT</Cd><Fmly><Cd>MCOP</Cd><SubFmlyCd>INTR</SubFmlyCd></Fmly></Domn></BkTxCd>
   </Ntry>
   <Ntry>
    <Amt Ccy="EUR">500</Amt><CdtDbtInd>CRDT</CdtDbtInd><Sts><Cd>PDNG</Cd></Sts>
   </Ntry>
   <SplmtryData><Envlp><x:any xmlns:x="urn:any">1</x:any></Envlp></SplmtryData>
  </Stmt>
 </BkToCstmrStmt>
</Document>
"""


NAMES = ("Document", "BkToCstmrStmt")
"""Of elements: changed at both ends."""


def entries(text: str = GOOD) -> tuple[BankEntry, ...]:
    return parse_bank_file(text.encode()).entries


def test_a_statement_is_read_with_all_that_its_entries_say() -> None:
    file = parse_bank_file(GOOD.encode())
    assert file.format is FileFormat.CAMT_053
    assert (file.account, file.statement_id) == ("DE89370400440532013000", "2024-31")
    assert (file.opening, file.closing) == (100_500_000, 104_400_000)
    (statement,) = file.statements
    assert (statement.number, statement.year) == (31, 2024)
    assert [each.entry_id for each in file.entries] == ["B-1", "B-2", "B-3", "B-4"]
    assert {each.booking_date for each in file.entries} == {date(2024, 2, 29)}
    assert [each.kind for each in file.entries[1:]] == [
        EntryKind.PAYMENT,
        EntryKind.CHARGE,
        EntryKind.INTEREST,
    ]
    assert [each.is_reversal for each in file.entries] == [False, True, False, False]


def test_a_batch_is_one_booking_of_several_payments() -> None:
    batch = entries()[0]
    assert batch.part_ids == ("B-1#1", "B-1#2")
    assert [each.amount for each in batch.parts] == [6_300_000, 3_700_000]
    assert batch.parts[0].reference == "RF18W000001P0001"
    assert batch.parts[0].name == "Aurora"
    assert batch.parts[1].texts == ("for RF18 W000001P0001, thanks",)


def test_a_batch_that_does_not_say_what_each_payment_is_of_is_one_with_all_its_references() -> None:
    (batch, *_) = entries(GOOD.replace('<Amt Ccy="EUR">3.70</Amt>', ""))
    (part,) = batch.parts
    assert (part.amount, batch.part_ids) == (10_000_000, ("B-1",))
    assert part.texts[:2] == ("RF18W000001P0001", "E-1")


@pytest.mark.parametrize("version", [f"{n:02}" for n in range(2, 14)])
def test_all_versions_of_the_message_are_read(version: str) -> None:
    booking = Booking(Decimal("6.30"), "RF18W000001P0001", "Aurora & Co")
    day = Day("S1", 1, "account", "EUR", date(2024, 2, 29), Decimal(-7), [booking])
    file = parse_bank_file(camt053_of(day, version))
    assert (file.opening, file.closing) == (-7_000_000, -700_000)
    ((part,),) = (each.parts for each in file.entries)
    assert (part.reference, part.name) == ("RF18W000001P0001", "Aurora & Co")
    assert part.texts[0] == "NOTPROVIDED"


def test_a_mark_at_the_start_is_allowed_where_xml_allows_it() -> None:
    assert parse_bank_file(b"\xef\xbb\xbf" + GOOD.encode()).entries == entries()


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("camt.053.001.08", "camt.053.001.01", "content"),
        ("camt.053.001.08", "camt.054.001.08", "content"),
        ("<GrpHdr>", '<GrpHdr xmlns="urn:other">', "{urn:other}GrpHdr"),
        ("Document", "Paper", "content"),
        ("UTF-8", "ISO-8859-1", "content"),
        ("UTF-8", "UTF-16", "content"),
        ("<!-- a", "<!DOCTYPE Document><!-- a", "content"),
        ("</Document>", "", "content"),
        ("Aurora", "Auro\ufeffra", "content"),
        ("BkToCstmrStmt", "BkToCstmrAcctRpt", "Document/BkToCstmrStmt"),
        ("<PgNb>1<", "<PgNb>2<", "Stmt[2024-31]/StmtPgntn"),
        ("<LastPgInd>true<", "<LastPgInd>false<", "Stmt[2024-31]/StmtPgntn"),
        ("<LastPgInd>true<", "<LastPgInd>yes<", "Stmt[2024-31]"),
        (">31<", ">x<", "Stmt[2024-31]/ElctrncSeqNb"),
        ("<IBAN>DE89370400440532013000</IBAN>", "", "account"),
        ("<Ccy>EUR</Ccy>", "<Ccy>USD</Ccy>", "currency"),
        ('"EUR">104.40', '"USD">104.40', "currency"),
        ("OPBD", "XXXX", "opening"),
        ("CLBD", "ITBD", "closing"),
        ("CLAV", "CLBD", "closing"),
        (">104.40<", ">104.41<", "closing"),
        (">104.40<", ">104,40<", "Stmt[2024-31]/Bal"),
        (">104.40<", ">1,104.40<", "Stmt[2024-31]/Bal"),
        (">104.40<", ">1.104,40<", "Stmt[2024-31]/Bal"),
        (">104.40<", "><", "Stmt[2024-31]/Bal"),
        (">104.40<", ">-104.40<", "Stmt[2024-31]/Bal"),
        ("<NbOfNtries>4<", "<NbOfNtries>5<", "Stmt[2024-31]/TtlNtries"),
        (">17.90<", ">17.91<", "Stmt[2024-31]/TtlNtries"),
        (">10.9<", ">11.9<", "Stmt[2024-31]/TtlCdtNtries"),
        (">7.00<", ">7.01<", "Stmt[2024-31]/TtlDbtNtries"),
        ('"EUR">10.00<', '"USD">10.00<', "entries[B-1]"),
        (">10.00<", ">10.001<", "entries[B-1]"),
        (">6.30<", ">6.29<", "entries[B-1]"),
        ("<NbOfTxs>2<", "<NbOfTxs>3<", "entries[B-1]"),
        (">CRDT</CdtDbtInd>\n    <Sts>", ">CREDIT</CdtDbtInd>\n    <Sts>", "entries[B-1]"),
        ("<Cd>BOOK<", "<Cd>DONE<", "Stmt[2024-31]/Ntry/Sts"),
        ("2024-02-29T10:00:00+01:00", "29.02.2024", "entries[B-1]"),
        ("2024-02-29T10:00:00+01:00", "2024-02-29 10:00", "entries[B-1]"),
        ("2024-02-29T10:00:00+01:00", "2024-02-30T10:00:00", "entries[B-1]"),
        ("2024-02-29T10:00:00+01:00", "", "entries[B-1]"),
        ("<RvslInd>true<", "<RvslInd>maybe<", "entries[B-2]"),
        (">B-2<", ">B-1<", "entries.entry_id"),
        (">B-2<", ">B-1#1<", "entries.entry_id"),
        (">B-2<", ">B\u20ac<", "entries.entry_id"),
    ],
)
def test_a_file_with_one_fault_is_refused_naming_it(old: str, new: str, field: str) -> None:
    assert old in GOOD
    with pytest.raises(Refused) as refused:
        entries(GOOD.replace(old, new) if old in NAMES else GOOD.replace(old, new, 1))
    assert (refused.value.reason, refused.value.field) == (Reason.BANK_FILE_REFUSED, field)


@pytest.mark.parametrize(
    "declared",
    [
        '<!DOCTYPE Document [<!ENTITY a "1000">]>',
        '<!DOCTYPE Document SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE Document [<!ENTITY % p SYSTEM "http://127.0.0.1/x">%p;]>',
    ],
)
def test_a_file_that_declares_entities_is_refused_before_it_is_read(declared: str) -> None:
    with pytest.raises(Refused, match="declares no entities"):
        entries(GOOD.replace("<!-- a comment -->", declared).replace(">7<", ">&a;<"))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp037", "latin-1"])
def test_a_file_in_another_encoding_is_refused(encoding: str) -> None:
    wrong = GOOD.replace("Aurora", "Zürich").replace("UTF-8", encoding).encode(encoding)
    with pytest.raises(Refused) as refused:
        parse_bank_file(wrong)
    assert refused.value.reason is Reason.BANK_FILE_REFUSED


def test_an_entry_without_the_banks_reference_is_named_by_its_place() -> None:
    named = entries(GOOD.replace("<AcctSvcrRef>B-1</AcctSvcrRef>", ""))
    assert named[0].part_ids == ("2024-31#1#1", "2024-31#1#2")


def statement(name: str, number: int, opening: str, closing: str, entry: str = "") -> str:
    """A statement of one entry of 1, or of none."""
    (text,) = re.findall(r"<Stmt>.*</Stmt>", GOOD, re.DOTALL)
    text = re.sub(
        r"<TxsSummry>.*</Ntry>|<SplmtryData>.*</SplmtryData>", entry, text, flags=re.DOTALL
    )
    text = text.replace("2024-31", name).replace(">31<", f">{number}<")
    return text.replace(">100.5<", f">{opening}<").replace(">104.40<", f">{closing}<")


def several(*statements: str) -> str:
    return re.sub(r"<Stmt>.*</Stmt>", "".join(statements), GOOD, flags=re.DOTALL)


def test_statements_of_one_account_may_follow_one_on_the_other_in_a_file() -> None:
    file = parse_bank_file(
        several(statement("a", 1, "5", "5"), statement("b", 2, "5", "5")).encode()
    )
    assert [each.statement_id for each in file.statements] == ["a", "b"]
    assert (file.statement_id, file.opening, file.closing) == ("a", 5_000_000, 5_000_000)
    assert file.entries == ()


@pytest.mark.parametrize(
    ("second", "field"),
    [
        (statement("b", 2, "6", "6"), "opening"),
        (statement("b", 3, "5", "5"), "number"),
        (statement("a", 2, "5", "5"), "statement_id"),
        (statement("b", 2, "5", "5").replace("EUR", "USD"), "currency"),
        (statement("b", 2, "5", "5").replace("DE89", "DE88"), "account"),
    ],
)
def test_statements_that_do_not_follow_are_refused(second: str, field: str) -> None:
    with pytest.raises(Refused) as refused:
        entries(several(statement("a", 1, "5", "5"), second))
    assert refused.value.field == field


def test_a_message_without_a_statement_is_refused() -> None:
    with pytest.raises(Refused, match="no statement"):
        entries(several())


def test_a_new_year_counts_statements_anew() -> None:
    second = statement("b", 1, "5", "5").replace("2024-02-2", "2025-02-2").replace("-29<", "-28<")
    assert parse_bank_file(several(statement("a", 250, "5", "5"), second).encode()).entries == ()
