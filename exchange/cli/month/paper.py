"""`month paper`: files for people."""

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.calling import ByAnybody
from exchange.cli.files import write_output
from exchange.cli.month.options import MONTH_TIMEOUT_S, OwnCurrencyOption
from exchange.cli.output import answer
from pointclear.settlement.v1 import month_pb2 as pb


def paper(
    by: ByAnybody,
    kind: Annotated[str, typer.Argument(help="invoice, balance, ageing or accruals.")],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Ends in .pdf, .csv or .xlsx.")],
    invoice: Annotated[str, typer.Option(metavar="ID", help="Of an invoice, as hub/FEE/1.")] = "",
    period: Annotated[
        str, typer.Option(help="Month of a balance or accruals, day of an ageing.")
    ] = "",
    currency: OwnCurrencyOption = "",
    partner: Annotated[str, typer.Option(help="Of a balance; an operator must say.")] = "",
) -> None:
    """Write a document, a balance, an ageing or accruals as a file for people."""
    form = out.suffix.removeprefix(".")
    request = pb.DownloadMonthPaperRequest(
        paper=_numbered(pb.MonthPaper, "MONTH_PAPER_", kind, "KIND"),
        format=_numbered(pb.MonthFormat, "MONTH_FORMAT_", form, "--out"),
        invoice_id=invoice,
        currency=currency,
        period=period,
        partner_id=partner,
    )
    with by.connect() as connection:
        chunks: list[pb.DownloadMonthPaperResponse] = list(
            connection.stream(connection.settlement.DownloadMonthPaper, request, MONTH_TIMEOUT_S)
        )
    content = b"".join(each.chunk for each in chunks)
    write_output(out, content)
    answer(by.as_json, {"file": str(out), "size": len(content)}, f"Wrote {out}")


def _numbered(choices: Any, prefix: str, text: str, option: str) -> Any:
    known = {name.removeprefix(prefix).lower(): n for name, n in choices.items() if n}
    if text not in known:
        raise typer.BadParameter(f"one of {', '.join(known)}", param_hint=option)
    return known[text]
