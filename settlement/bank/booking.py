"""A bank's file as one entry of the books: whether it follows on them, and what it books. Pure.

The body of the entry is the file as it came. Its facts say of each posting what it is: fact n is
about posting n, so that an item's amount is found beside its name. Behind those stand one fact for
each statement in the file, and what the bank took out of suspense.
"""

from exchange.commands import Book, Fact
from partners.points import format_amount
from settlement.bank.matching import AccountKind, Booking, Use, compact
from settlement.bank.statement import BankFile, check_number, refused
from settlement.schemes.scheme import Scheme

FILE_KIND = "bank_file"
"""Of the facts that name statements, as `<account>/<statement id>`."""
USE_KIND = "suspense_use"
"""Of the facts that name the item of suspense which a posting debits."""
_KEYS = {AccountKind.SETTLEMENT: "bank", AccountKind.COLLATERAL: "bank-collateral"}


def bank_key(currency: str, statement_id: str, kind: AccountKind = AccountKind.SETTLEMENT) -> str:
    """Entry key of an imported bank file."""
    return f"{_KEYS[kind]}/{currency}/{statement_id}"


def kind_of(entry_key: str) -> AccountKind:
    """Of which account the file with this key is."""
    return next(kind for kind, start in _KEYS.items() if entry_key.startswith(f"{start}/"))


def account_of(file: BankFile, scheme: Scheme) -> AccountKind:
    """Which of the scheme's accounts a file is of; raises Refused(BANK_FILE_REFUSED)."""
    if file.currency.code != scheme.currency:
        raise refused("currency", f"the file is of {file.currency.code}, not {scheme.currency}")
    for kind, ours in (
        (AccountKind.SETTLEMENT, scheme.settlement_account_id),
        (AccountKind.COLLATERAL, scheme.collateral_account_id),
    ):
        # Banks add their own code before an account, or its currency behind.
        forms = (ours, f"{scheme.bank_bic}/{ours}", f"{ours}{scheme.currency}")
        if compact(file.account) in map(compact, forms):
            return kind
    raise refused(
        "account",
        f"{file.account} is neither {scheme.settlement_account_id} nor"
        f" {scheme.collateral_account_id}; see the scheme of {scheme.currency}",
    )


def check_follows(file: BankFile, mirror_posted: int, last: BankFile | None) -> None:
    """Raise Refused(BANK_FILE_REFUSED) unless a file follows on our books.

    `mirror_posted` is the posted balance of the account's mirror, which is minus what the bank
    holds; `last` is the file imported before this one.
    """
    if file.opening != -mirror_posted:
        scale = file.currency.scale
        after = f" of {last.statements[-1].statement_id}" if last else ""
        raise refused(
            "opening",
            f"the file opens with {format_amount(file.opening, scale)}, our last closing{after} is"
            f" {format_amount(-mirror_posted, scale)}; a statement between them may be missing",
        )
    if last is not None:
        check_number(last.statements[-1], file.statements[0])


def bank_file_entry(
    file: BankFile, content: bytes, kind: AccountKind, bookings: tuple[Booking, ...]
) -> Book:
    """Books a whole bank file."""
    currency = file.currency.code
    facts = [
        # What goes out of suspense is found as a use of its item, like every other.
        Fact(USE_KIND, currency, each.partner_number, None, each.item_id)
        if each.item_id
        else Fact(each.use, currency, each.partner_number, None, each.subject)
        for each in bookings
    ]
    taken_back = (
        Fact(Use.TAKEN_BACK, currency, None, None, each.subject)
        for each in bookings
        if each.item_id
    )
    statements = (
        Fact(FILE_KIND, currency, None, None, f"{kind}/{each.statement_id}")
        for each in file.statements
    )
    return Book(
        bank_key(currency, file.statement_id, kind),
        file.format,
        content,
        tuple(each.posting for each in bookings),
        currency,
        facts=(*facts, *taken_back, *statements),
        # What the bank took off a partner's collateral is gone, whatever it covered.
        forced=any(each.use is Use.WITHDRAWN for each in bookings),
    )


def uses_on(kind: AccountKind) -> tuple[Use, ...]:
    """What entries of an account can be: by these its own references are found."""
    own = (Use.TOP_UP, Use.WITHDRAWN, Use.COLLATERAL_CONFIRMED)
    if kind is AccountKind.COLLATERAL:
        return own
    return tuple(use for use in Use if use not in own)
