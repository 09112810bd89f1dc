"""That what lies at the bank is what the books say, to whom it belongs, and that nothing is left
over: as of the close of a window. Pure but for the typesetter.

    mirror = bank      each account's mirror is minus the closing balance of the bank's last file
    bank   = owners    both accounts together are what partners, collateral and the operator are
                       owed

What is instructed or asked for and not on the bank's statement yet is in neither.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import Final

from partners.points import CurrencyScale
from settlement.reports.tables import Cell, Money, write_csv
from settlement.reports.typesetting import TEMPLATES, figure, typeset

TEMPLATE = TEMPLATES / "bank_proof.typ"
COLUMNS: Final = ("row", "account", "bank_statement", "amount", "holds")
_MIRRORS: Final = ("hub.bank.settlement", "hub.bank.collateral")


@dataclass(frozen=True, slots=True)
class AtBank:
    """An account at the bank."""

    name: str
    """As the books call its mirror."""
    account: str
    """As the bank calls it."""
    statement_id: str
    """Of the last file before the close; empty where there was none."""
    closing: int
    """What the bank says, in units; 0 before its first file."""
    mirror: int
    """Posted balance of the mirror: credits less debits."""

    @property
    def difference(self) -> int:
        """0, or something is wrong."""
        return self.closing + self.mirror


@dataclass(frozen=True, slots=True)
class BankProof:
    """A currency's money as of the close of a window. Units of its scale."""

    window_id: str
    day: date
    currency: CurrencyScale
    log_index: int
    """The first one that is not counted."""
    accounts: tuple[AtBank, ...]
    owned: tuple[tuple[str, int], ...]
    """What each other account of the currency stands at, credits less debits; none that is 0."""

    @property
    def at_bank(self) -> int:
        """Both accounts together, as the bank says."""
        return sum(each.closing for each in self.accounts)

    @property
    def owed(self) -> int:
        """What all others are owed, together."""
        return sum(amount for _, amount in self.owned)

    @property
    def holds(self) -> bool:
        """Whether both equations are true."""
        return self.at_bank == self.owed and not any(each.difference for each in self.accounts)


def bank_proof(
    window_id: str,
    day: date,
    currency: CurrencyScale,
    log_index: int,
    balances: Iterable[tuple[str, int]],
    accounts: Iterable[tuple[str, str, str, int]],
) -> BankProof:
    """The proof from all balances of the currency, by account, and what the bank says: of each
    mirror the bank's name of it, its last statement and its closing.
    """
    posted = dict(balances)
    return BankProof(
        window_id,
        day,
        currency,
        log_index,
        tuple(
            AtBank(mirror, account, statement_id, closing, posted.get(mirror, 0))
            for mirror, account, statement_id, closing in accounts
        ),
        tuple(
            (name, amount)
            for name, amount in sorted(posted.items())
            if amount and name not in _MIRRORS
        ),
    )


def bank_proof_csv(proof: BankProof) -> bytes:
    """BANK, MIRROR and DIFFERENCE rows of each account, OWNED rows, TOTAL and END."""

    def money(units: int) -> Money:
        return Money(units, proof.currency.scale)

    rows: list[list[Cell]] = []
    for each in proof.accounts:
        rows += [
            ["BANK", each.account, each.statement_id, money(each.closing), None],
            ["MIRROR", each.name, None, money(each.mirror), None],
            ["DIFFERENCE", each.name, None, money(each.difference), _yes(not each.difference)],
        ]
    rows += [["OWNED", name, None, money(amount), None] for name, amount in proof.owned]
    left = proof.at_bank - proof.owed
    rows.append(["TOTAL", "at the bank", None, money(proof.at_bank), None])
    rows.append(["TOTAL", "owned", None, money(proof.owed), None])
    rows.append(["TOTAL", "difference", None, money(left), _yes(proof.holds)])
    rows.append(["END", proof.window_id, None, None, None])
    return write_csv(COLUMNS, rows)


def bank_proof_pdf(proof: BankProof, operator: str) -> bytes:
    """The paper for whoever answers for the money."""
    currency = proof.currency

    def shown(units: int) -> dict[str, str]:
        return figure(units, currency)

    data = {
        "issuer": operator,
        "name": operator,
        "mark": proof.window_id,
        "currency": currency.code,
        "log_index": proof.log_index,
        "holds": proof.holds,
        "accounts": [
            {
                "name": each.name,
                "account": each.account,
                "statement": each.statement_id or "none yet",
                "closing": shown(each.closing),
                "mirror": shown(each.mirror),
                "difference": shown(each.difference),
            }
            for each in proof.accounts
        ],
        "owned": [{"name": name, "amount": shown(amount)} for name, amount in proof.owned],
        "at_bank": shown(proof.at_bank),
        "owed": shown(proof.owed),
        "left": shown(proof.at_bank - proof.owed),
    }
    return typeset(TEMPLATE, data, proof.day)


def _yes(holds: bool) -> str:
    return "yes" if holds else "no"
