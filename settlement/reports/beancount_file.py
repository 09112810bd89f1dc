"""The whole books as a Beancount file (version 2 syntax, which `bean-check` of Beancount 3 reads).
Pure.

One transaction per window, corridor and code, with what each account gained or lost by it; no
opening balances, since it begins with the books. Rules kept here:

- Every amount has six decimals. Beancount infers its tolerance from the digits that it sees: half
  of the last one, so that a difference of one millionth fails.
- At the end every account's balance is asserted with an explicit tolerance of nothing: where a
  `balance` has none, Beancount allows one unit of its last digit. The figures asserted are the
  books' own running balances, not sums of the transactions above them.
- Names follow from ours one to one. A debit is positive.

Source: beancount/parser/grammar and `beancount.ops.balance.get_balance_tolerance`, version 3.2.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import groupby
from typing import Final

DIGITS: Final = 6
_HUB: Final = {
    "hub.bank.settlement": "Assets:Hub:Bank:Settlement",
    "hub.bank.collateral": "Assets:Hub:Bank:Collateral",
    "hub.fees": "Income:Hub:Fees",
    "hub.promotions": "Expenses:Hub:Promotions",
    "hub.rounding": "Equity:Hub:Rounding",
    "hub.suspense": "Liabilities:Hub:Suspense",
    "hub.losses": "Expenses:Hub:Losses",
}
_TAX: Final = "hub.tax."


@dataclass(frozen=True, slots=True)
class Unit:
    """What an account counts in."""

    name: str
    """`PTS:<program>`, or a currency."""
    scale: int

    @property
    def commodity(self) -> str:
        """As Beancount names it: `PTS-AURORA-MILES`, or the currency."""
        if not self.name.startswith("PTS:"):
            return self.name
        name = f"PTS-{self.name.removeprefix('PTS:').upper()}"
        # A commodity does not end with a hyphen, and no id has a point.
        return f"{name}.E" if name.endswith("-") else name

    def amount(self, units: int) -> str:
        """With six decimals."""
        sign = "-" if units < 0 else ""
        whole, fraction = divmod(abs(units) * 10 ** (DIGITS - self.scale), 10**DIGITS)
        return f"{sign}{whole}.{fraction:0{DIGITS}d} {self.commodity}"


@dataclass(frozen=True, slots=True)
class BookedAccount:
    """An account of the books with its posted balance: debits less credits."""

    name: str
    unit: Unit
    balance: int

    @property
    def beancount(self) -> str:
        """Its name for Beancount."""
        if self.name in _HUB:
            return _HUB[self.name]
        if self.name.startswith(_TAX):
            return f"Liabilities:Hub:Tax:{_capital(self.name.removeprefix(_TAX))}"
        owner, _, which = self.name.rpartition(".")
        of = "Programs" if self.unit.name.startswith("PTS:") else "Partners"
        return f"Liabilities:{of}:{_capital(owner)}:{_capital(which)}"


@dataclass(frozen=True, slots=True)
class Movement:
    """What one account gained, debits less credits, in one window, corridor and code."""

    day: date
    window_id: str
    """Empty for what no window counts."""
    source_program: str
    target_program: str
    """Both empty for what is no transfer."""
    code: str
    account: BookedAccount
    amount: int

    @property
    def entry(self) -> tuple[date, str, str, str, str]:
        """Which transaction it belongs to."""
        return self.day, self.window_id, self.source_program, self.target_program, self.code


def beancount_file(
    audience: str, accounts: Iterable[BookedAccount], movements: Iterable[Movement]
) -> Iterator[bytes]:
    """The file, piece by piece; movements come in the order of their entries."""
    known = tuple(accounts)
    entries = [(key, tuple(group)) for key, group in groupby(movements, lambda each: each.entry)]
    first = min((key[0] for key, _ in entries), default=date(1970, 1, 1))
    last = max((key[0] for key, _ in entries), default=first)
    yield f'option "title" "Pointclear: {_quoted(audience)}"\n'.encode()
    currencies = sorted({each.unit.name for each in known if not each.unit.name.startswith("PTS:")})
    for currency in currencies:
        yield f'option "operating_currency" "{currency}"\n'.encode()
    yield b"\n"
    yield from _opened(known, first)
    for key, group in entries:
        yield _transaction(key, group).encode()
    yield b"\n"
    for each in known:
        amount, _, commodity = each.unit.amount(each.balance).partition(" ")
        day = last + timedelta(days=1)
        # The tolerance is said: without it one millionth would pass.
        yield f"{day} balance {each.beancount} {amount} ~ 0.000000 {commodity}\n".encode()


def _opened(accounts: Iterable[BookedAccount], day: date) -> Iterator[bytes]:
    commodities: dict[str, set[str]] = {}
    for each in accounts:
        commodities.setdefault(each.beancount, set()).add(each.unit.commodity)
    for name, counted in sorted(commodities.items()):
        yield f"{day} open {name} {','.join(sorted(counted))}\n".encode()


def _transaction(key: tuple[date, str, str, str, str], group: tuple[Movement, ...]) -> str:
    day, window_id, source, target, code = key
    corridor = f"{source} > {target}" if source or target else ""
    lines = [f'\n{day} * "{code}" "{corridor}"']
    if window_id:
        lines.append(f'  window: "{window_id}"')
    lines += [
        f"  {each.account.beancount}  {each.account.unit.amount(each.amount)}"
        for each in group
        if each.amount
    ]
    return "\n".join(lines) + "\n"


def _capital(name: str) -> str:
    """A component of an account's name. Ids have no capitals, so that two never become one."""
    return name[:1].upper() + name[1:]


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
