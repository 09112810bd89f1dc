"""What several of the commands about the month are asked with."""

from typing import Annotated

import typer

MONTH_TIMEOUT_S = 600.0
"""Checking all books takes minutes where there are millions of postings."""

MonthArgument = Annotated[str, typer.Argument(metavar="YYYY-MM", help="The month.")]
PeriodArgument = Annotated[
    str, typer.Argument(metavar="PERIOD", help="A month (YYYY-MM) or a day (YYYY-MM-DD).")
]
CurrencyOption = Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")]
OwnCurrencyOption = Annotated[
    str, typer.Option(help="ISO 4217 code; an operator must say. [default: the caller's]")
]
