"""`window draft`, `approval`, `abort` and `unwind`, and `acknowledge`: what stands between a closed
window and its payments.
"""

import hashlib
import time
from typing import Annotated, Any

import typer

from exchange.cli.calling import App, ByActingOperator, ByAnybody
from exchange.cli.connection import Connection, connect
from exchange.cli.documents import instant, money
from exchange.cli.options import (
    DEFAULT_DATA_DIR,
    DataDirOption,
    JsonOption,
    OperatorProfileOption,
    PartnerProfileOption,
    ServerOption,
    WindowArgument,
    operator_profile,
    partner_profile,
)
from exchange.cli.output import answer, table
from exchange.cli.proofs import read_statement
from exchange.cli.settlement.dispute_commands import dispute_document
from exchange.cli.settlement.settlement_commands import SETTLE_TIMEOUT_S
from partners.envelope import STATEMENT_ACKNOWLEDGEMENT, sign
from partners.keys import Purpose
from partners.wire import envelope_from_proto, envelope_to_proto
from pointclear.settlement.v1.approval_pb2 import (
    AbortWindowRequest,
    AcknowledgeStatementRequest,
    DraftLine,
    GetApprovalRequest,
    GetApprovalResponse,
    GetDraftRequest,
    GetDraftResponse,
    UnwindPartnerRequest,
    UnwindPartnerResponse,
)
from pointclear.settlement.v1.settlement_service_pb2 import (
    GetStatementRequest,
    GetStatementResponse,
)
from pointclear.settlement.v1.statement_pb2 import StatementAcknowledgement


def add_approval_commands(app: App) -> None:
    """Add them to the commands about windows."""
    app.command("draft")(draft)
    app.command("approval")(approval)
    app.command("abort")(abort)
    app.command("unwind")(unwind)


def draft(
    window_id: WindowArgument,
    data_dir: DataDirOption = DEFAULT_DATA_DIR,
    profile_dir: OperatorProfileOption = None,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a closed window would be stated as, before anybody approves it.

    `settle --draft` takes the digest: another draft is refused then. `hub` is what the operator
    owes for the bonuses that it pays, and for what it has lost.
    """
    with connect(operator_profile(profile_dir, data_dir, server)) as connection:
        response: GetDraftResponse = connection.call(
            connection.settlement.GetDraft, GetDraftRequest(window_id=window_id), SETTLE_TIMEOUT_S
        )
    currency = window_id.partition("-")[0].upper()
    names = ("brought_forward", "restated", "net", "withheld", "due", "payment", "carried_forward")

    def figures(line: DraftLine) -> dict[str, Any]:
        return {"partner_id": line.partner_id} | {
            name: money(getattr(line, name), currency) for name in names
        }

    lines = [figures(line) for line in response.lines]
    own = figures(response.own) if response.HasField("own") else None
    shortfall = money(response.own.shortfall, currency)
    lost = f"hub: among its due is what it has lost beyond its fees, {shortfall}"
    pair_names = ("carried", "net", "unpaid", "disputed", "payment", "carries_on")
    pairs: list[dict[str, Any]] = [
        {"partner_id": pair.partner_id, "counterparty": pair.counterparty}
        | {name: money(getattr(pair, name), currency) for name in pair_names}
        for pair in response.pairs
    ]
    between = table(
        ("partner", "with", *(name.replace("_", " ") for name in pair_names)),
        [tuple(pair.values()) for pair in pairs],
        right=tuple(name.replace("_", " ") for name in pair_names),
    )
    digest = response.draft_sha256.hex()
    answer(
        as_json,
        {
            "lines": lines,
            "own": own and own | {"shortfall": shortfall},
            "pairs": pairs,
            "due_date": response.due_date,
            "draft_sha256": digest,
        },
        table(
            ("partner", *(name.replace("_", " ") for name in names)),
            [tuple(line.values()) for line in (*lines, *([own] if own else ()))],
            right=tuple(name.replace("_", " ") for name in names),
        ),
        *((between,) if pairs else ()),
        *((lost,) if response.own.shortfall else ()),
        f"Payments would be due on {response.due_date}",
        f"Approve it with: pointclear settle {window_id} --draft {digest}",
    )


def approval(
    by: ByAnybody,
    window_id: WindowArgument,
) -> None:
    """Show how far each statement of a window has come; a partner sees its own."""
    with by.connect() as connection:
        response: GetApprovalResponse = connection.call(
            connection.settlement.GetApproval, GetApprovalRequest(window_id=window_id)
        )
    currency = window_id.partition("-")[0].upper()
    statements = [
        {
            "partner_id": each.partner_id,
            "version": each.version,
            "acknowledged": each.is_acknowledged,
            "accepted": each.is_accepted,
            "withheld": money(each.withheld, currency),
        }
        for each in response.statements
    ]
    ends = instant(response.clock_ends_at) if response.HasField("clock_ends_at") else None
    answer(
        by.as_json,
        {"statements": statements, "clock_ends_at": ends, "payable": response.is_payable},
        table(
            ("partner", "version", "acknowledged", "accepted", "withheld"),
            [
                (
                    each["partner_id"],
                    each["version"],
                    "yes" if each["acknowledged"] else "no",
                    "yes" if each["accepted"] else "no",
                    each["withheld"],
                )
                for each in statements
            ],
            right=("version", "withheld"),
        ),
        "Payments are asked for"
        if response.is_payable
        else f"Silence accepts at {ends}"
        if ends
        else f"{window_id} is not stated",
    )


def acknowledge(
    window_id: WindowArgument,
    profile_dir: PartnerProfileOption,
    server: ServerOption = None,
    as_json: JsonOption = False,
) -> None:
    """Counter-sign the newest version of your statement: you agree with it.

    Look at it first with `statement`. Repeating it is harmless.
    """
    with connect(partner_profile(profile_dir, server)) as connection:
        version, digest = counter_sign_statement(connection, window_id)
    answer(
        as_json,
        {"window_id": window_id, "version": version, "statement_sha256": digest.hex()},
        f"Acknowledged version {version} of the statement of {window_id}",
    )


def abort(
    by: ByActingOperator,
    window_id: WindowArgument,
) -> None:
    """End the settlement of a stated window; what is not paid goes over to the next settlement.

    Its statements get another version that says why. Takes two people of finance.
    """
    profile = by.profile()
    with connect(profile, by.reason) as connection:
        connection.call(
            connection.settlement.AbortWindow,
            AbortWindowRequest(window_id=window_id, reason=by.reason),
            SETTLE_TIMEOUT_S,
        )
    answer(by.as_json, {"window_id": window_id, "state": "ABORTED"}, f"{window_id}: ABORTED")


def unwind(
    by: ByActingOperator,
    window_id: WindowArgument,
    partner: Annotated[str, typer.Option(help="Who does not pay.")],
) -> None:
    """Take a partner that does not pay out of a window, and state the rest again.

    What others owe it or are owed by it is withheld until `dispute end` gives it back. Takes two
    people of finance.
    """
    profile = by.profile()
    with connect(profile, by.reason) as connection:
        response: UnwindPartnerResponse = connection.call(
            connection.settlement.UnwindPartner,
            UnwindPartnerRequest(window_id=window_id, partner_id=partner),
            SETTLE_TIMEOUT_S,
        )
    document = dispute_document(response.dispute)
    amounts = [(name, amount) for line in document["lines"] for name, amount in line["amounts"]]
    answer(
        by.as_json,
        {"dispute": document},
        table(("partner", "withheld"), amounts, right=("withheld",)),
        f"{partner} is taken out of {window_id}: {document['subject']}",
    )


def counter_sign_statement(connection: Connection, window_id: str) -> tuple[int, bytes]:
    """Counter-sign the newest version of the caller's statement, once it verifies; its number and
    digest. Raises Failed.
    """
    profile = connection.profile
    response: GetStatementResponse = connection.call(
        connection.settlement.GetStatement, GetStatementRequest(window_id=window_id)
    )
    envelope = envelope_from_proto(response.statement)
    keys = connection.exchange_keys(Purpose.STATEMENTS)
    stated = read_statement(envelope, keys, profile.audience, profile.caller.name)
    digest = hashlib.sha256(envelope.payload).digest()
    payload = StatementAcknowledgement(
        audience=profile.audience,
        partner_id=profile.caller.name,
        window_id=window_id,
        statement_sha256=digest,
        issued_at_us=time.time_ns() // 1000,
    ).SerializeToString(deterministic=True)
    signed = sign(profile.signer(Purpose.AGREEMENTS), STATEMENT_ACKNOWLEDGEMENT, payload)
    connection.call(
        connection.settlement.AcknowledgeStatement,
        AcknowledgeStatementRequest(acknowledgement=envelope_to_proto(signed)),
        SETTLE_TIMEOUT_S,
    )
    return stated.version or 1, digest
