"""A bank's statement as ISO 20022 camt.053, versions .02 to .13. Pure.

Source: the message definition reports of BankToCustomerStatement; the versions differ, for what is
read here, in where a status (`Sts`, `Sts/Cd`), a name (`Nm`, `Pty/Nm`) and the amount of a
transaction (`AmtDtls/TxAmt/Amt`, `Amt`) stand.

- The file is UTF-8 (one mark at its start is allowed, as XML does) without a document type: so it
  declares no entity and reads nothing else. Every element is of the one namespace of the message.
- A statement is all pages of itself, has one booked opening (OPBD or PRCD) and one booked closing
  (CLBD), and its totals, where it has some, are those of its entries.
- Only what is booked counts: entries that are announced or informative are passed over, since the
  balances do not contain them.
- An entry is named by the bank's own reference (AcctSvcrRef), or by its place in the statement
  where the bank gives none. What has several transactions with an amount each has as many parts.
- Entries with a transaction code of charges or interest are taken as such (external code list,
  sub-family).
"""

import re
from collections.abc import Iterator
from datetime import date
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from partners.points import CurrencyScale
from settlement.bank.statement import (
    BankEntry,
    BankFile,
    BankStatement,
    EntryKind,
    FileFormat,
    Part,
    amount_of,
    checked,
    currency_of,
    date_of,
    decoded,
    refused,
)

_NAMESPACE = re.compile(r"urn:iso:std:iso:20022:tech:xsd:camt\.053\.001\.(?:0[2-9]|1[0-3])")
_ENCODING = re.compile(r"<\?xml[^>]*?encoding\s*=\s*[\"']([^\"']*)[\"']")
_DATE_TIME = re.compile(r"T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:Z|[+-][0-9]{2}:[0-9]{2})?")
_ZONE = re.compile(r"(?:Z|[+-][0-9]{2}:[0-9]{2})")
_DATE_LENGTH = len("2026-01-31")
CHARGE_CODES = frozenset({"CHRG", "CHGS", "FEES", "COMM", "COME", "COMI", "COMT", "TAXE"})
INTEREST_CODES = frozenset({"INTR"})
_BOOKED = "BOOK"
_NOT_BOOKED = frozenset({"PDNG", "INFO", "FUTR"})
_SIGNS = {"CRDT": 1, "DBIT": -1}
_FLAGS = {"true": True, "1": True, "false": False, "0": False}
_MARK = b"\xef\xbb\xbf"


def parse_camt053(content: bytes) -> BankFile:
    """Read a file. Raises Refused(BANK_FILE_REFUSED) with the element at fault unless it is
    whole.
    """
    root = _document(content)
    message = _only(root, "BkToCstmrStmt", "Document")
    return checked(FileFormat.CAMT_053, [_statement(each) for each in message.findall("Stmt")])


def _document(content: bytes) -> Element:
    """The tree, its names without their namespace."""
    text = decoded(content.removeprefix(_MARK))
    declared = _ENCODING.match(text)
    if declared and declared.group(1).upper() != "UTF-8":
        raise refused(
            "content", f"the file says that it is {declared.group(1)}; ask the bank for UTF-8"
        )
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise refused("content", "a statement has no document type and declares no entities")
    try:
        # What the file declares is UTF-8 already; said again, so that nothing else is tried.
        root = ElementTree.fromstring(text.encode(), parser=ElementTree.XMLParser(encoding="utf-8"))
    except ElementTree.ParseError as wrong:
        raise refused(
            "content", f"the file is not well-formed XML, so it may be cut short: {wrong}"
        ) from wrong
    namespace = root.tag.partition("}")[0].removeprefix("{")
    if not _NAMESPACE.fullmatch(namespace) or root.tag != f"{{{namespace}}}Document":
        raise refused("content", f"{root.tag} is not the Document of a camt.053.001.02 to .13")
    _strip(root, f"{{{namespace}}}")
    return root


def _strip(element: Element, namespace: str) -> None:
    """Take the namespace off all names beneath. What a bank adds as supplementary data has others
    by its nature, and is not read.
    """
    waiting = [element]
    while waiting:
        each = waiting.pop()
        if not each.tag.startswith(namespace):
            raise refused(each.tag, "this element is not of the message's namespace")
        each.tag = each.tag.removeprefix(namespace)
        for supplementary in each.findall(f"{namespace}SplmtryData"):
            each.remove(supplementary)
        waiting.extend(each)


def _statement(statement: Element) -> BankStatement:
    statement_id = _text(statement, "Id", "Stmt")
    field = f"Stmt[{statement_id}]"
    _check_pages(statement, field)
    account = _only(statement, "Acct", field)
    identified = account.findall("Id/IBAN") + account.findall("Id/Othr/Id")
    if len(identified) != 1 or not identified[0].text:
        raise refused("account", f"{field}/Acct/Id names no account, or several")
    balances = [_balance(each, field) for each in statement.findall("Bal")]
    codes = {code for _, code, _ in balances} | {each.text for each in account.findall("Ccy")}
    if len(codes) != 1:
        raise refused("currency", f"{field} has balances in several currencies, or in none")
    currency = currency_of(str(codes.pop()))
    opening = _one_balance(balances, ("OPBD", "PRCD"), currency, "opening")
    closing = _one_balance(balances, ("CLBD",), currency, "closing")
    booked = [each for each in statement.findall("Ntry") if _is_booked(each, field)]
    entries = tuple(
        _entry(each, currency, f"{statement_id}#{place}") for place, each in enumerate(booked, 1)
    )
    _check_totals(statement, entries, currency, field)
    return BankStatement(
        statement_id,
        identified[0].text.strip(),
        currency,
        opening,
        entries,
        closing,
        _number(statement, field),
        _closing_year(statement, field),
    )


def _check_pages(statement: Element, field: str) -> None:
    for page in statement.findall("StmtPgntn"):
        if page.findtext("PgNb") != "1" or _flag(page, "LastPgInd", field) is not True:
            raise refused(
                f"{field}/StmtPgntn", "this is a page of a statement; ask for it in one piece"
            )


def _number(statement: Element, field: str) -> int | None:
    text = statement.findtext("ElctrncSeqNb") or statement.findtext("LglSeqNb")
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,18}", text):
        raise refused(f"{field}/ElctrncSeqNb", f"{text!r} is not a number")
    return int(text)


def _closing_year(statement: Element, field: str) -> int:
    closing = [
        each for each in statement.findall("Bal") if each.findtext("Tp/CdOrPrtry/Cd") == "CLBD"
    ]
    return _date(closing[0].find("Dt"), f"{field}/Bal/Dt").year


Balance = tuple[str, str, str]
"""Type, currency, and signed figure."""


def _balance(balance: Element, field: str) -> Balance:
    field = f"{field}/Bal"
    tp = balance.findtext("Tp/CdOrPrtry/Cd") or "proprietary"
    figure, code = _figure(_only(balance, "Amt", field), field)
    sign = "-" if _sign(balance, field) < 0 else ""
    return tp, code, f"{sign}{figure}"


def _one_balance(
    balances: list[Balance], types: tuple[str, ...], currency: CurrencyScale, field: str
) -> int:
    found = {amount_of(figure, currency, field) for tp, _, figure in balances if tp in types}
    if len(found) != 1:
        raise refused(
            field,
            f"the statement has {'no' if not found else 'more than one'} balance of type"
            f" {' or '.join(types)}; ask the bank for a whole one",
        )
    return found.pop()


def _is_booked(entry: Element, field: str) -> bool:
    status = entry.findtext("Sts/Cd") or entry.findtext("Sts", "").strip()
    if status != _BOOKED and status not in _NOT_BOOKED:
        raise refused(f"{field}/Ntry/Sts", f"{status!r} is no status of an entry")
    return status == _BOOKED


def _entry(entry: Element, currency: CurrencyScale, fallback: str) -> BankEntry:
    transactions = entry.findall("NtryDtls/TxDtls")
    own = entry.findtext("AcctSvcrRef")
    if own is None and len(transactions) == 1:
        own = transactions[0].findtext("Refs/AcctSvcrRef")
    entry_id = (own or "").strip() or fallback
    field = f"entries[{entry_id}]"
    amount = _money(_only(entry, "Amt", field), currency, field) * _sign(entry, field)
    for batch in entry.findall("NtryDtls/Btch"):
        count = batch.findtext("NbOfTxs")
        if transactions and count is not None and count != str(len(transactions)):
            raise refused(field, f"the batch announces {count} payments, not {len(transactions)}")
    parts = tuple(_parts(transactions, amount, currency, field))
    additional = entry.findtext("AddtlNtryInf", "")
    if len(parts) != 1:
        # What is said of the whole entry helps to match it only where that is one payment.
        additional = ""
    elif additional:
        parts = (Part(amount, (*parts[0].texts, additional), parts[0].name),)
    booked = entry.find("BookgDt")
    return BankEntry(
        entry_id,
        _date(entry.find("ValDt") if booked is None else booked, field),
        amount,
        parts,
        _kind(entry, transactions),
        bool(_flag(entry, "RvslInd", field)),
    )


def _parts(
    transactions: list[Element], amount: int, currency: CurrencyScale, field: str
) -> Iterator[Part]:
    """The payments of an entry: each with its amount, or all as one where the bank does not say
    what each is of.
    """
    amounts = [_part_amount(each, amount, currency, field) for each in transactions]
    texts = [tuple(_texts(each)) for each in transactions]
    names = [_name(each) for each in transactions]
    if len(transactions) > 1 and None not in amounts:
        for units, each, name in zip(amounts, texts, names, strict=True):
            assert units is not None
            yield Part(units, each, name)
        return
    yield Part(amount, tuple(text for each in texts for text in each), " / ".join(names)[:140])


def _part_amount(
    transaction: Element, whole: int, currency: CurrencyScale, field: str
) -> int | None:
    """What a transaction is of in the account's currency; None where it does not say."""
    found = transaction.find("Amt")
    if found is None:
        found = transaction.find("AmtDtls/TxAmt/Amt")
    if found is None or found.get("Ccy") != currency.code:
        return None
    sign = 1 if whole > 0 else -1
    if transaction.find("CdtDbtInd") is not None:
        sign = _sign(transaction, field)
    return sign * _money(found, currency, field)


def _texts(transaction: Element) -> Iterator[str]:
    """Where a reference may stand, what is structured first; lines of free text also as one."""
    places = ("RmtInf/Strd/CdtrRefInf/Ref", "Refs/EndToEndId", "Refs/InstrId", "Refs/AcctSvcrRef")
    for place in places:
        yield from (each.text for each in transaction.findall(place) if each.text)
    lines = [each.text for each in transaction.findall("RmtInf/Ustrd") if each.text]
    if lines:
        yield "".join(lines)
    yield from (each.text for each in transaction.findall("AddtlTxInf") if each.text)


def _name(transaction: Element) -> str:
    for side in ("Dbtr", "Cdtr"):
        for place in (f"RltdPties/{side}/Nm", f"RltdPties/{side}/Pty/Nm"):
            found = transaction.findtext(place)
            if found:
                return found
    return ""


def _kind(entry: Element, transactions: list[Element]) -> EntryKind:
    codes = {each.text for each in entry.findall("BkTxCd/Domn/Fmly/SubFmlyCd")}
    if not codes and len(transactions) == 1:
        codes = {each.text for each in transactions[0].findall("BkTxCd/Domn/Fmly/SubFmlyCd")}
    if codes & CHARGE_CODES:
        return EntryKind.CHARGE
    return EntryKind.INTEREST if codes & INTEREST_CODES else EntryKind.PAYMENT


def _check_totals(
    statement: Element, entries: tuple[BankEntry, ...], currency: CurrencyScale, field: str
) -> None:
    sides = {
        "TtlNtries": [each.amount for each in entries],
        "TtlCdtNtries": [each.amount for each in entries if each.amount > 0],
        "TtlDbtNtries": [each.amount for each in entries if each.amount < 0],
    }
    for name, amounts in sides.items():
        total = statement.find(f"TxsSummry/{name}")
        if total is None:
            continue
        count, figure = total.findtext("NbOfNtries"), total.findtext("Sum")
        if count is not None and count != str(len(amounts)):
            raise refused(f"{field}/{name}", f"it counts {count} entries, there are {len(amounts)}")
        units = sum(map(abs, amounts))
        if figure is not None and amount_of(figure, currency, f"{field}/{name}") != units:
            raise refused(f"{field}/{name}", f"the entries do not come to {figure}")


def _figure(amount: Element, field: str) -> tuple[str, str]:
    text = (amount.text or "").strip()
    if not re.fullmatch(r"[0-9]{1,18}(?:\.[0-9]{1,5})?", text):
        raise refused(field, f"{text!r} is not an amount such as 1234.50")
    return text, amount.get("Ccy", "")


def _money(amount: Element, currency: CurrencyScale, field: str) -> int:
    figure, code = _figure(amount, field)
    if code != currency.code:
        raise refused(field, f"its amount is in {code or 'no currency'}, not {currency.code}")
    return amount_of(figure, currency, field)


def _sign(element: Element, field: str) -> int:
    text = _text(element, "CdtDbtInd", field)
    if text not in _SIGNS:
        raise refused(field, f"{text!r} is neither CRDT nor DBIT")
    return _SIGNS[text]


def _flag(element: Element, name: str, field: str) -> bool | None:
    text = element.findtext(name)
    if text is None:
        return None
    if text.strip() not in _FLAGS:
        raise refused(field, f"{name} is {text!r}, neither true nor false")
    return _FLAGS[text.strip()]


def _date(holder: Element | None, field: str) -> date:
    text = "" if holder is None else (holder.findtext("Dt") or holder.findtext("DtTm") or "")
    day, rest = text[:_DATE_LENGTH], text[_DATE_LENGTH:]
    if rest and not (_DATE_TIME.fullmatch(rest) or _ZONE.fullmatch(rest)):
        raise refused(field, f"{text!r} is not a date such as 2026-01-31")
    return date_of(day, field)


def _only(element: Element, name: str, field: str) -> Element:
    found = element.findall(name)
    if len(found) != 1:
        raise refused(
            f"{field}/{name}", "it is missing" if not found else "it stands there more than once"
        )
    return found[0]


def _text(element: Element, name: str, field: str) -> str:
    return (_only(element, name, field).text or "").strip()
