"""`rates check`, `graph`, `derive` and `numeraire`: the rates of a coalition as a whole."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.cli.agreements.rate_proposals import Common, Member, parse_member, proposal_files
from exchange.cli.agreements.rate_sets import (
    FILES_ONLY,
    CorridorRate,
    decimal,
    forces_seen,
    instants_in,
    proposals,
    rate_set,
    rates_at,
)
from exchange.cli.calling import App, ByAnybody
from exchange.cli.connection import connect
from exchange.cli.failure import unavailable
from exchange.cli.files import write_output
from exchange.cli.options import (
    JsonOption,
    either_profile,
    parse_instant,
)
from exchange.cli.output import answer, table
from partners.errors import Reason, Refused
from partners.points import currency_scale, parse_amount
from partners.rate_set import without_free_lunch
from partners.registry import Registry

FilesArgument = Annotated[
    list[Path] | None,
    typer.Argument(metavar="[FILE]...", help="Proposed terms, to be added to what is in force."),
]
FilesOnlyOption = Annotated[
    bool, typer.Option("--files-only", help="Look at the files alone; ask no exchange.")
]
AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="When the proposals are to begin. [default: now]"),
]
SpreadOption = Annotated[
    int, typer.Option(min=0, max=9_999, help="Basis points kept from every rate.")
]
BlockOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Source points of a block, whose points in are rounded down."
        " [default: the least that is exact]",
    ),
]
CurrencyOption = Annotated[str, typer.Option(help="ISO 4217 code of the settlement currency.")]
MaximumOption = Annotated[int, typer.Option(min=1, help="Most source points in one transfer.")]
FeeOption = Annotated[int, typer.Option(help="The operator's fee in basis points of the value.")]
TaxOption = Annotated[str, typer.Option(help="Code of the tax on the fee, such as vat6.")]
VersionOption = Annotated[int, typer.Option(min=1, help="Of every agreement.")]
OutOption = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Where the files of terms go.")
]


def rates_app() -> App:
    """The commands about rates."""
    app = App(
        no_args_is_help=True,
        help="Look for loops of rates that multiply points, draw the rates, and derive them.",
    )
    app.command("check")(check)
    app.command("graph")(graph)
    app.command("derive")(derive)
    app.command("numeraire")(numeraire)
    return app


def check(
    by: ByAnybody,
    files: FilesArgument = None,
    files_only: FilesOnlyOption = False,
    at: AtOption = None,
) -> None:
    """Look for a loop that multiplies points, now or later, as activation would.

    A partner sees its own agreements only, and so only loops among these. A loop is answered as a
    refusal, with exit code 1.
    """
    now = datetime.now(UTC)
    registry = _rates(files, files_only, at, now, by.data_dir, by.profile_dir, by.server)
    without_free_lunch(registry, now)
    rates = rates_at(registry, now)
    instants = instants_in(registry, now)
    documents = [_document(each) for each in rates]
    answer(
        by.as_json,
        {
            "loop": None,
            "instants": [each.isoformat().replace("+00:00", "Z") for each in instants],
            "corridors": documents,
        },
        table(
            ("corridor", "terms", "1 point gives", "and back, at best"),
            [
                (
                    f"{each.multiplier.source} → {each.multiplier.target}",
                    each.multiplier.label,
                    decimal(each.multiplier.factor),
                    "–" if each.returns is None else f"{each.returns:.6f}",
                )
                for each in rates
            ],
            right=("1 point gives", "and back, at best"),
        ),
        f"No cycle of conversions multiplies points: {len(rates)} corridors in force,"
        f" {len(instants)} instants looked at",
    )


def graph(
    by: ByAnybody,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="FILE", help="The SVG to write.")],
    files: FilesArgument = None,
    files_only: FilesOnlyOption = False,
    at: AtOption = None,
) -> None:
    """Draw the corridors with what a point gives, bonuses of now included, as an SVG.

    With --at, as it will be then. A colour says what a point comes back as by the best way.
    """
    try:
        from exchange.cli.agreements.rate_chart import rates_svg
    except ImportError as error:
        raise unavailable(
            f"drawing needs {error.name}", "Install it: pip install 'pointclear[demo]'."
        ) from None
    now = datetime.now(UTC)
    registry = _rates(files, files_only, at, now, by.data_dir, by.profile_dir, by.server)
    rates = rates_at(registry, parse_instant(at) if at else now)
    if not rates:
        raise Refused(Reason.AGREEMENT_UNKNOWN, "", "no agreement is in force that you may see")
    write_output(out, rates_svg(rates).encode())
    answer(
        by.as_json,
        {"file": str(out), "corridors": [_document(each) for each in rates]},
        f"Wrote {out}: {len(rates)} corridors",
    )


def derive(
    members: Annotated[
        list[str],
        typer.Argument(
            metavar="PARTNER/PROGRAM=PRICE...", help="The two brands, with the price of a point."
        ),
    ],
    out: OutOption,
    currency: CurrencyOption,
    maximum: MaximumOption,
    fee_bps: FeeOption,
    tax: TaxOption,
    margin_bps: SpreadOption = 0,
    block: BlockOption = None,
    version: VersionOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Write proposals for both directions between two brands, from their prices and a margin.

    The rate is exact: the ratio of the prices, less the margin. `rates check` and then `agreement
    propose` take the files.
    """
    if len(members) != 2:
        raise typer.BadParameter("name two brands; for more there is `rates numeraire`")
    scale = currency_scale(currency).scale
    priced = [parse_member(each, scale) for each in members]
    common = Common(currency, maximum, fee_bps, tax, version, margin_bps, block)
    _write(as_json, out, [(each, each.value) for each in priced], common)


def numeraire(
    members: Annotated[
        list[str],
        typer.Argument(
            metavar="PARTNER/PROGRAM=VALUE...",
            help="The programs, with the value of a point in a common unit (通用积分).",
        ),
    ],
    out: OutOption,
    unit_price: Annotated[
        str, typer.Option(metavar="AMOUNT", help="Price of one common unit, such as 0.01.")
    ],
    currency: CurrencyOption,
    maximum: MaximumOption,
    fee_bps: FeeOption,
    tax: TaxOption,
    spread_bps: SpreadOption = 0,
    block: BlockOption = None,
    version: VersionOption = 1,
    as_json: JsonOption = False,
) -> None:
    """Write proposals for every corridor between programs, from one value for each.

    n values give n × (n − 1) corridors, and no loop of them multiplies points.
    """
    scale = currency_scale(currency).scale
    valued = [parse_member(each, VALUE_DECIMALS) for each in members]
    price = parse_amount(unit_price, scale, "unit_price")
    common = Common(currency, maximum, fee_bps, tax, version, spread_bps, block)
    priced = []
    for member in valued:
        units, rest = divmod(member.value * price, 10**VALUE_DECIMALS)
        if rest:
            raise Refused(
                Reason.FIELD_INVALID,
                "unit_price",
                f"the price of a point of {member.program} has more than {scale} decimals;"
                " give value and price with fewer",
            )
        priced.append((member, units))
    _write(as_json, out, priced, common)


VALUE_DECIMALS = 12
"""Of a value in a common unit."""


def _rates(
    files: list[Path] | None,
    files_only: bool,
    at: str | None,
    now: datetime,
    data_dir: Path,
    profile_dir: Path | None,
    server: str | None,
) -> Registry:
    begins = parse_instant(at) if at else now
    if files_only:
        return rate_set((), proposals(files or (), FILES_ONLY, now), begins)
    profile = either_profile(profile_dir, data_dir, server)
    proposed = proposals(files or (), profile.audience, now)
    with connect(profile) as connection:
        return rate_set(forces_seen(connection), proposed, begins)


def _write(as_json: bool, out: Path, priced: list[tuple[Member, int]], common: Common) -> None:
    written = proposal_files(priced, common)
    for name, (_, content) in written.items():
        write_output(out / name, content)
    rows = [
        (name, f"{terms.source_program} → {terms.target_program}", _pair(terms))
        for name, (terms, _) in written.items()
    ]
    answer(
        as_json,
        {
            "files": [
                {"file": str(out / name), "corridor": corridor, "rate": rate}
                for name, corridor, rate in rows
            ]
        },
        table(("file", "corridor", "rate"), rows, right=("rate",)),
        f"Wrote {len(rows)} files to {out}",
    )


def _pair(terms: Any) -> str:
    return f"{terms.rate.source_units}:{terms.rate.target_units}"


def _document(rate: CorridorRate) -> dict[str, Any]:
    step = rate.multiplier
    return {
        "source_program": step.source,
        "target_program": step.target,
        "multiplier": f"{step.factor.numerator}/{step.factor.denominator}",
        "terms": step.label,
        "best_return": None if rate.returns is None else f"{rate.returns:.9f}",
    }
