"""Who owes whom in a window: the nets of every pair of parties, what they come to for each, and the
proof that they come to nothing together. Pure but for the typesetter.

Rules kept here:

- What two parties see of each other is opposite, and all nets sum to 0 (`settlement.netting.nets`
  raises where they do not). The sum is printed: it is 0, for everybody to add up.
- A party's bilateral nets add up to its multilateral net.
- Payments and collateral settle nets and are no part of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final

from exchange.ledger.accounts import HUB
from exchange.ledger.postings import OUTSIDE_NETS
from partners.points import CurrencyScale
from settlement.netting import nets
from settlement.reports.tables import Cell, Money, Sheet, workbook, write_csv
from settlement.reports.typesetting import TEMPLATES, figure, typeset
from settlement.windows import SettlementWindow, WindowSum

TEMPLATE = TEMPLATES / "net_matrix.typ"
OPERATOR: Final = "hub"
MATRIX_PARTIES_MAX: Final = 7
"""More do not fit the width of a page; then the paper has the list of pairs alone."""
COLUMNS: Final = ("row", "party", "counterparty", "code", "tax_code", "amount")


@dataclass(frozen=True, slots=True)
class NetMatrix:
    """A window's nets. Units of the currency's scale; positive is owed to the party."""

    window_id: str
    day: date
    currency: CurrencyScale
    parties: tuple[str, ...]
    """The operator last."""
    pairs: Mapping[tuple[str, str], int]
    """Of a party against another; none that is 0."""
    by_code: tuple[tuple[str, str, str, str, int], ...]
    """Party, counterparty, code, tax code, amount."""
    nets: Mapping[str, int]


def net_matrix(
    window: SettlementWindow,
    sums: tuple[WindowSum, ...],
    names: Mapping[int, str],
    tax_codes: Mapping[int, str],
) -> NetMatrix:
    """The matrix of a closed window; `names` are the ids of its partners by number.

    Raises InvariantBroken where pairs are lopsided or the nets do not sum to 0.
    """
    named = {**names, HUB: OPERATOR}
    multilateral = nets(sums)
    counted = [each for each in sums if each.code not in OUTSIDE_NETS and each.amount]
    pairs: dict[tuple[str, str], int] = {}
    for each in counted:
        pair = (named[each.party], named[each.counterparty])
        pairs[pair] = pairs.get(pair, 0) + each.amount
    by_code = (
        (
            named[each.party],
            named[each.counterparty],
            each.code.name,
            tax_codes[each.tax_number] if each.tax_number else "",
            each.amount,
        )
        for each in counted
    )
    return NetMatrix(
        window.window_id,
        window.business_date,
        window.currency,
        (*(names[number] for number in sorted(names)), OPERATOR),
        {pair: amount for pair, amount in sorted(pairs.items()) if amount},
        tuple(sorted(by_code)),
        {named[number]: net for number, net in multilateral.items() if number in named},
    )


def net_matrix_csv(matrix: NetMatrix) -> bytes:
    """BILATERAL rows by code, PAIR rows, NET rows, and the TOTAL of the nets, which is 0."""

    def money(units: int) -> Money:
        return Money(units, matrix.currency.scale)

    rows: list[list[Cell]] = [
        ["BILATERAL", party, counterparty, code, tax, money(amount)]
        for party, counterparty, code, tax, amount in matrix.by_code
    ]
    rows += [["PAIR", *pair, None, None, money(amount)] for pair, amount in matrix.pairs.items()]
    rows += [
        ["NET", party, None, None, None, money(matrix.nets.get(party, 0))]
        for party in matrix.parties
    ]
    rows.append(["TOTAL", None, None, None, None, money(sum(matrix.nets.values()))])
    rows.append(["END", matrix.window_id, None, None, None, None])
    return write_csv(COLUMNS, rows)


def net_matrix_xlsx(matrix: NetMatrix) -> bytes:
    """A sheet with the matrix, one with the pairs by code."""

    def money(units: int) -> Money:
        return Money(units, matrix.currency.scale)

    rows: list[list[Cell]] = []
    for party in matrix.parties:
        cells = [money(matrix.pairs.get((party, each), 0)) for each in matrix.parties]
        rows.append([party, *cells, money(matrix.nets.get(party, 0))])
    # A party's column holds what the others see of it: the opposite of its row.
    columns = [
        money(sum(matrix.pairs.get((each, party), 0) for each in matrix.parties))
        for party in matrix.parties
    ]
    rows.append(["sum", *columns, money(sum(matrix.nets.values()))])
    codes: list[list[Cell]] = [[*row[:-1], money(row[-1])] for row in matrix.by_code]
    return workbook(
        (
            Sheet("Matrix", ("party", *matrix.parties, "net"), rows),
            Sheet("By code", COLUMNS[1:], codes),
        ),
        f"Net matrix of {matrix.window_id}",
        matrix.day,
    )


def net_matrix_pdf(matrix: NetMatrix, operator: str) -> bytes:
    """The paper for whoever approves the settlement."""
    currency = matrix.currency

    def of_party(party: str) -> dict[str, object]:
        owed = [amount for pair, amount in matrix.pairs.items() if pair[0] == party]
        return {
            "party": party,
            "receives": figure(sum(each for each in owed if each > 0), currency),
            "pays": figure(sum(each for each in owed if each < 0), currency),
            "net": figure(matrix.nets.get(party, 0), currency),
        }

    cells = [
        [figure(matrix.pairs.get((party, each), 0), currency) for each in matrix.parties]
        for party in matrix.parties
    ]
    data = {
        "issuer": operator,
        "name": operator,
        "mark": matrix.window_id,
        "currency": currency.code,
        "parties": matrix.parties,
        "nets": [of_party(party) for party in matrix.parties],
        "total": figure(sum(matrix.nets.values()), currency),
        "matrix": cells if len(matrix.parties) <= MATRIX_PARTIES_MAX else [],
        # Each pair once, as its creditor sees it.
        "pairs": [
            {"creditor": pair[0], "debtor": pair[1], "amount": figure(amount, currency)}
            for pair, amount in matrix.pairs.items()
            if amount > 0
        ],
    }
    return typeset(TEMPLATE, data, matrix.day)
