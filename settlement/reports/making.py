"""Makes a report from what the books say, and keeps it.

One transaction reads, makes and keeps: a crash leaves nothing, and the next request makes the same
file again. A file that is kept is never made again.
"""

import hashlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import IO, Any, Final

from partners.errors import Reason, Refused
from settlement import store as books
from settlement.bank.matching import AccountKind
from settlement.lines.store import StoredLineFile, line_file_of
from settlement.payouts.making import payment_requests, remittance_advices
from settlement.payouts.papers import PaymentRequest, RemittanceAdvice
from settlement.reports import store
from settlement.reports.account_map import NOTHING_MAPPED, AccountMap, maps_of
from settlement.reports.apart import write_apart
from settlement.reports.bank_proof import (
    BankProof,
    bank_proof,
    bank_proof_csv,
    bank_proof_pdf,
)
from settlement.reports.catalogue import OUTPUTS, Format, Kind, ReportName
from settlement.reports.corridors import (
    CorridorSummary,
    corridor_sums,
    corridors_csv,
    corridors_xlsx,
    refusals_of,
)
from settlement.reports.journal import Journal, journal, journal_csv, journal_json
from settlement.reports.line_workbook import Told, write_line_workbook
from settlement.reports.net_matrix import (
    NetMatrix,
    net_matrix,
    net_matrix_csv,
    net_matrix_pdf,
    net_matrix_xlsx,
)
from settlement.reports.payment_pdf import payment_request_pdf, remittance_advice_pdf
from settlement.reports.statement_csv import statement_csv
from settlement.reports.statement_pdf import Parties, statement_pdf
from settlement.reports.store import PartnerNames, StoredReport
from settlement.schemes.scheme import scheme_of
from settlement.statement import Statement
from settlement.windows import SettlementWindow
from settlement.wire import parse_statement

IN_MEMORY_MAX: Final = 8 << 20
"""A larger file lies on disk while it is made."""

APART_FROM_LINES: Final = 20_000
"""So many take seconds: they are written beside the server, not in it."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a report is made from."""

    connection: Any
    window: SettlementWindow
    partner: PartnerNames | None
    """None for the operator's own."""
    version: int
    """Of the partner's statement."""
    audience: str
    told: Told

    @property
    def whose(self) -> PartnerNames:
        """The partner of a partner's report."""
        assert self.partner is not None, "an operator's report is about all partners"
        return self.partner

    @property
    def payload(self) -> bytes:
        """Of the partner's statement, as it is signed."""
        payload = books.statement_payload(
            self.connection, self.window.window_id, self.whose.partner_id, self.version
        )
        if payload is None:
            raise unknown(self.window.window_id)
        return payload

    @property
    def statement(self) -> Statement:
        """The partner's statement."""
        return parse_statement(self.payload)

    @property
    def parties(self) -> Parties:
        """By the names that people know."""
        return Parties(self.operator, self.whose.legal_name)

    @property
    def operator(self) -> str:
        """By the name that people know."""
        scheme = scheme_of(self.connection, self.window.currency.code)
        return scheme.operator_name or self.audience

    @property
    def lines(self) -> StoredLineFile:
        """The partner's line file."""
        stored = line_file_of(self.connection, self.window.window_id, self.whose.partner_id)
        if stored is None:
            raise unknown(self.window.window_id)
        return stored


Writer = Callable[[Subject, IO[bytes]], object]


def name_of(
    connection: Any, kind: Kind, format_: Format, window_id: str, partner_id: str, version: int
) -> ReportName:
    """The name of a report of a stated window, or Refused(STATEMENT_UNKNOWN) where there is none.

    An empty `partner_id` means the operator; version 0 the newest.
    """
    if OUTPUTS[kind].is_operators is not (not partner_id):
        whom = "the operator" if OUTPUTS[kind].is_operators else "one partner"
        raise Refused(Reason.FIELD_INVALID, "partner_id", f"a report {kind} is about {whom}")
    window = books.window_named(connection, window_id)
    if not partner_id:
        if window.closing_tree is None:
            raise Refused(Reason.WINDOW_STATE, "period", f"{window_id} is open; close it first")
        return ReportName(kind, window_id, 0, 1, format_)
    number = store.partner_named(connection, partner_id).number
    newest = newest_version(connection, window_id, partner_id)
    if not OUTPUTS[kind].is_versioned:
        newest = version = 1
    if version > newest:
        raise unknown(window_id)
    return ReportName(kind, window_id, number, version or newest, format_)


def newest_version(connection: Any, window_id: str, partner_id: str) -> int:
    """Of a partner's statement; raises Refused(STATEMENT_UNKNOWN) where there is none."""
    stated = books.statement_of(connection, window_id, partner_id)
    if stated is None:
        raise unknown(window_id)
    return stated.version


def kept(
    connection: Any, name: ReportName, partner_id: str, audience: str, told: Told
) -> StoredReport:
    """The report of this name, made now unless it is kept already."""
    found = store.found(connection, name)
    if found is not None:
        return found
    with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY_MAX) as target:
        make(connection, name, partner_id, audience, told, target)
        return store.keep(connection, name, target)


def make(
    connection: Any,
    name: ReportName,
    partner_id: str,
    audience: str,
    told: Told,
    target: IO[bytes],
) -> None:
    """Write a report to `target`, whether or not it is kept."""
    window = books.window_named(connection, name.period)
    partner = store.partner_named(connection, partner_id) if partner_id else None
    subject = Subject(connection, window, partner, name.version, audience, told)
    WRITERS[Kind(name.kind), Format(name.format)](subject, target)


def account_map_of(connection: Any, partner: PartnerNames) -> AccountMap:
    """A partner's account map as it stands."""
    found = maps_of(connection, partner.number)
    return found[-1] if found else NOTHING_MAPPED


def is_there(connection: Any, name: ReportName, partner_id: str, audience: str) -> bool:
    """Whether a report can be made: an occasional one has something to tell."""
    if not OUTPUTS[Kind(name.kind)].is_occasional:
        return True
    window = books.window_named(connection, name.period)
    partner = store.partner_named(connection, partner_id)
    subject = Subject(connection, window, partner, name.version, audience, lambda _lines: None)
    if name.kind == Kind.PAYMENT_REQUEST:
        return _request_of(subject) is not None
    return _advice_of(subject) is not None


def unknown(window_id: str) -> Refused:
    """The refusal of what was never stated."""
    return Refused(Reason.STATEMENT_UNKNOWN, "period", f"there is no such statement of {window_id}")


def _statement_pdf(subject: Subject, target: IO[bytes]) -> None:
    payload = subject.payload
    digest = hashlib.sha256(payload).digest()
    target.write(statement_pdf(parse_statement(payload), subject.parties, digest))


def _statement_csv(subject: Subject, target: IO[bytes]) -> None:
    target.write(statement_csv(subject.statement))


def _lines_csv(subject: Subject, target: IO[bytes]) -> None:
    target.writelines(subject.lines.parts(subject.connection))


def _lines_xlsx(subject: Subject, target: IO[bytes]) -> None:
    window, lines = subject.window, subject.lines
    write = write_line_workbook if subject.statement.line_count < APART_FROM_LINES else write_apart
    write(
        target,
        lines.parts(subject.connection),
        lines.sha256,
        window.currency.scale,
        window.business_date,
        subject.told,
    )


def _corridors(subject: Subject) -> CorridorSummary:
    window, partner, statement = subject.window, subject.whose, subject.statement
    refused = store.refused_orders(
        subject.connection,
        partner.number,
        statement.first_stream_seq,
        statement.last_stream_seq,
    )
    return CorridorSummary(
        window.window_id,
        partner.partner_id,
        window.business_date,
        window.currency.scale,
        corridor_sums(subject.lines.parts(subject.connection), window.currency.scale),
        refusals_of(refused),
    )


def _net_matrix(subject: Subject) -> NetMatrix:
    connection, window = subject.connection, subject.window
    names = {each.number: each.partner_id for each in books.partners_of(connection, window)}
    sums = books.window_sums(connection, window)
    return net_matrix(window, sums, names, books.tax_codes(connection))


def _request_of(subject: Subject) -> PaymentRequest | None:
    found = payment_requests(
        subject.connection, subject.window, subject.whose.partner_id, subject.audience
    )
    for each in found:
        if each.paper.statement_version == subject.version:
            return replace(each, due_date=subject.statement.due_date)
    return None


def _advice_of(subject: Subject) -> RemittanceAdvice | None:
    """The advice of a payment that the bank has made."""
    found = remittance_advices(subject.connection, subject.window, subject.whose.partner_id)
    for each in found:
        if each.paper.statement_version == subject.version and each.paper.paid_at is not None:
            return each
    return None


def _payment_request(subject: Subject, target: IO[bytes]) -> None:
    request = _request_of(subject)
    if request is None:
        raise Refused(Reason.STATEMENT_UNKNOWN, "kind", "this statement asks for no payment in")
    day = subject.window.business_date
    target.write(payment_request_pdf(request, subject.operator, day))


def _remittance_advice(subject: Subject, target: IO[bytes]) -> None:
    advice = _advice_of(subject)
    if advice is None:
        raise Refused(
            Reason.STATEMENT_UNKNOWN, "kind", "the bank has shown no payment of this statement yet"
        )
    day = subject.window.business_date
    target.write(remittance_advice_pdf(advice, subject.operator, day))


def _bank_proof(subject: Subject) -> BankProof:
    connection, window = subject.connection, subject.window
    assert window.closing_tree is not None, "only closed windows are reported on"
    end = window.closing_tree.size
    scheme = scheme_of(connection, window.currency.code)
    accounts = []
    for kind, account in (
        (AccountKind.SETTLEMENT, scheme.settlement_account_id),
        (AccountKind.COLLATERAL, scheme.collateral_account_id),
    ):
        file = store.last_bank_file(connection, window.currency.code, kind, end)
        mirror = f"hub.bank.{kind.lower()}"
        if file is None:
            accounts.append((mirror, account, "", 0))
        else:
            accounts.append((mirror, file.account, file.statements[-1].statement_id, file.closing))
    return bank_proof(
        window.window_id,
        window.business_date,
        window.currency,
        end,
        store.balances_at(connection, window.unit, end),
        accounts,
    )


def _journal(subject: Subject) -> Journal:
    return journal(subject.statement, account_map_of(subject.connection, subject.whose))


WRITERS: Mapping[tuple[Kind, Format], Writer] = {
    (Kind.STATEMENT, Format.PDF): _statement_pdf,
    (Kind.STATEMENT, Format.CSV): _statement_csv,
    (Kind.LINES, Format.CSV): _lines_csv,
    (Kind.LINES, Format.XLSX): _lines_xlsx,
    (Kind.CORRIDORS, Format.CSV): lambda of, to: to.write(corridors_csv(_corridors(of))),
    (Kind.CORRIDORS, Format.XLSX): lambda of, to: to.write(corridors_xlsx(_corridors(of))),
    (Kind.JOURNAL, Format.CSV): lambda of, to: to.write(journal_csv(_journal(of))),
    (Kind.JOURNAL, Format.JSON): lambda of, to: to.write(journal_json(_journal(of))),
    (Kind.PAYMENT_REQUEST, Format.PDF): _payment_request,
    (Kind.REMITTANCE_ADVICE, Format.PDF): _remittance_advice,
    (Kind.BANK_PROOF, Format.PDF): lambda of, to: to.write(
        bank_proof_pdf(_bank_proof(of), of.operator)
    ),
    (Kind.BANK_PROOF, Format.CSV): lambda of, to: to.write(bank_proof_csv(_bank_proof(of))),
    (Kind.NET_MATRIX, Format.PDF): lambda of, to: to.write(
        net_matrix_pdf(_net_matrix(of), of.operator)
    ),
    (Kind.NET_MATRIX, Format.CSV): lambda of, to: to.write(net_matrix_csv(_net_matrix(of))),
    (Kind.NET_MATRIX, Format.XLSX): lambda of, to: to.write(net_matrix_xlsx(_net_matrix(of))),
}
