"""`certify watch`."""

import time
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from exchange.cli.certification.board import board
from exchange.cli.certification.issuing import (
    REASON,
    Certification,
    CertifierOption,
    OutOption,
    check_sandbox,
    digest_of,
    issue,
)
from exchange.cli.certification.observed import whole_list
from exchange.cli.certification.watching import Watch, close_windows, watch_until
from exchange.cli.connection import connect
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    PartnerProfileOption,
    ServerOption,
    operator_profile,
    parse_duration,
    partner_profile,
)
from partners.certification import Method


def watch(
    profile_dir: PartnerProfileOption,
    client: Annotated[
        Path,
        typer.Option(metavar="FILE", help="What is certified, such as your client's release."),
    ],
    out: OutOption,
    timeout: Annotated[str, typer.Option(help="Give up after this long: 90s, 15m, 2h.")] = "15m",
    after: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="SEQ",
            help="Count what stands after this position of the stream, 0 for all of it."
            " [default: what comes from now on]",
        ),
    ] = None,
    close_window: Annotated[
        bool,
        typer.Option(
            "--close-window",
            help="When nothing but the statement is left, close and state the settlement window."
            " [default: wait until an operator does]",
        ),
    ] = False,
    operator: CertifierOption = None,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Judge your own client by what the sandbox records of it, and write the signed report.

    It sends no order: yours does, while this reads the partner's stream and statements and ticks
    off what they show. What leaves no trace there only `certify run` judges; `certify list` says
    which. Exit code 1 where something was not seen in time: the report says so too, and no partner
    goes live with it.
    """
    profile = partner_profile(profile_dir, server)
    by = operator_profile(operator, data_dir, server)
    check_sandbox(profile, by, "operator")
    client_sha256 = digest_of(client)
    deadline = time.monotonic() + parse_duration(timeout).total_seconds()
    closing = connect(by, REASON) if close_window else nullcontext()
    with connect(profile) as connection, closing as operating, board(quiet=as_json) as show:
        watching = Watch(connection, after)
        close = None if operating is None else lambda: close_windows(watching, operating)
        seen = watch_until(watching.look, deadline, show, close)
    outcomes = whole_list(seen, timeout)
    certification = Certification(profile, by, client_sha256, Method.WATCH)
    issue(certification, outcomes, out, as_json=as_json)
