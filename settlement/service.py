"""SettlementService: windows, statements, legs and bank files, as partners and operators call for
them.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, date, datetime
from itertools import count
from typing import Any

from sqlalchemy import Engine

from exchange.commands import CloseWindow, Command, OpenWindow
from exchange.fold import window_id as window_id_of
from exchange.outcomes import Result
from partners import envelope as dsse
from partners.caller import Caller
from partners.errors import Reason, Refused
from partners.keys import Purpose
from partners.points import check_id, currency_scale
from partners.signers import Signers
from partners.wire import envelope_to_proto
from pointclear.settlement.v1 import settlement_service_pb2 as pb
from settlement import store, wire
from settlement.accounts.service import SettlementAccounts
from settlement.approval.service import Approval
from settlement.bank.service import BankCalls
from settlement.collateral.service import CollateralCalls
from settlement.course import Course
from settlement.journals.service import Journals
from settlement.month.audit.service import AuditExport
from settlement.month.service import Month
from settlement.overdue.service import OverduePayments
from settlement.pairs.service import PairCalls
from settlement.payouts.service import PayOuts
from settlement.reconciliation.service import ReconciliationService
from settlement.reports.service import ReportService
from settlement.schemes.service import Schemes

CHUNK_BYTES_MAX = 60 * 1024
"""Of a line file, so that a message with one stays below 64 KiB."""
PAGE_DEFAULT = 100
PAGE_MAX = 500


class SettlementService:
    """The calls of `pointclear.settlement.v1.SettlementService`. They raise Refused."""

    def __init__(
        self,
        engine: Engine,
        submit: Callable[[Command], Awaitable[Result]],
        audience: str,
        signers: Signers,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`submit` hands a command to the sequencer; `signers` holds the exchange's keys
        for statements; `now` reads the clock.
        """
        self._signers = signers
        self._course = Course(engine, submit, audience, signers, now)
        approval = Approval(self._course, audience, signers, now)
        self.get_draft = approval.get_draft
        self.acknowledge_statement = approval.acknowledge_statement
        self.dispute_lines = approval.dispute_lines
        self.list_disputes = approval.list_disputes
        self.get_dispute = approval.get_dispute
        self.end_dispute = approval.end_dispute
        self.get_approval = approval.get_approval
        self.abort_window = approval.abort_window
        self.unwind_partner = approval.unwind_partner
        bank = BankCalls(self._course, now)
        self.import_bank_file = bank.import_bank_file
        self.list_bank_files = bank.list_bank_files
        self.list_suspense = bank.list_suspense
        self.resolve_suspense = bank.resolve_suspense
        accounts = SettlementAccounts(self._course, audience, now)
        self.submit_settlement_account = accounts.submit_settlement_account
        self.approve_settlement_account = accounts.approve_settlement_account
        self.refuse_settlement_account = accounts.refuse_settlement_account
        self.list_settlement_accounts = accounts.list_settlement_accounts
        reconciliation = ReconciliationService(engine, now)
        self.set_column_mapping = reconciliation.set_column_mapping
        self.get_column_mapping = reconciliation.get_column_mapping
        self.upload_reconciliation = reconciliation.upload_reconciliation
        self.run_reconciliation = reconciliation.run_reconciliation
        self.get_reconciliation = reconciliation.get_reconciliation
        self.list_breaks = reconciliation.list_breaks
        self.get_break = reconciliation.get_break
        self.assign_break = reconciliation.assign_break
        self.comment_break = reconciliation.comment_break
        self.resolve_break = reconciliation.resolve_break
        self.write_off_break = reconciliation.write_off_break
        overdue = OverduePayments(self._course, now)
        self.list_overdue = overdue.list_overdue
        self.draw_collateral = overdue.draw_collateral
        self.get_unwind_report = overdue.get_unwind_report
        pairs = PairCalls(self._course, audience, now)
        self.list_pair_legs = pairs.list_pair_legs
        self.confirm_payment = pairs.confirm_payment
        pay_outs = PayOuts(self._course, audience, now)
        self.make_pay_out_file = pay_outs.make_pay_out_file
        self.get_pay_out_file = pay_outs.get_pay_out_file
        self.list_pay_out_files = pay_outs.list_pay_out_files
        self.reject_pay_out_file = pay_outs.reject_pay_out_file
        self.get_payment_request = pay_outs.get_payment_request
        self.get_remittance_advice = pay_outs.get_remittance_advice
        reports = ReportService(engine, self._course, audience)
        self.list_reports = reports.list_reports
        self.download_report = reports.download_report
        self.export_books = reports.export_books
        self.set_account_map = reports.set_account_map
        self.get_account_map = reports.get_account_map
        collateral = CollateralCalls(self._course, audience, now)
        self.request_withdrawal = collateral.request_withdrawal
        self.approve_withdrawal = collateral.approve_withdrawal
        self.refuse_withdrawal = collateral.refuse_withdrawal
        self.list_collateral = collateral.list_collateral
        journals = Journals(self._course)
        self.book_adjustment = journals.book_adjustment
        self.list_adjustments = journals.list_adjustments
        schemes = Schemes(self._course)
        self.set_scheme = schemes.set_scheme
        self.get_scheme = schemes.get_scheme
        self.list_schemes = schemes.list_schemes
        month = Month(self._course, audience, signers)
        self.set_invoicing = month.set_invoicing
        self.list_invoicing = month.list_invoicing
        self.issue_invoices = month.issue_invoices
        self.list_invoices = month.list_invoices
        self.get_invoice = month.get_invoice
        self.get_balance_confirmation = month.get_balance_confirmation
        self.confirm_balance = month.confirm_balance
        self.get_ageing = month.get_ageing
        self.get_accruals = month.get_accruals
        self.get_promotion_costs = month.get_promotion_costs
        self.get_close_checklist = month.get_close_checklist
        self.lock_period = month.lock_period
        self.reopen_period = month.reopen_period
        self.download_month_paper = month.download_month_paper
        self.export_audit = AuditExport(engine, audience, signers).export_audit

    # Windows

    async def open_window(
        self, request: pb.OpenWindowRequest, caller: Caller
    ) -> pb.OpenWindowResponse:
        """Open the first window of a currency."""
        caller.require_operator()
        currency_scale(request.currency)
        day = _date(request.business_date, "business_date")
        await self._course.book(OpenWindow(request.currency, day))
        name = window_id_of(request.currency, day)
        return pb.OpenWindowResponse(window=await self._message(name))

    async def close_window(
        self, request: pb.CloseWindowRequest, caller: Caller
    ) -> pb.CloseWindowResponse:
        """Close a window and open the next."""
        caller.require_operator()
        check_id(request.window_id, "window_id")
        following = request.next_business_date
        day = _date(following, "next_business_date") if following else None
        await self._course.book(CloseWindow(request.window_id, day))
        window = await self._course.read(store.window_named, request.window_id)
        opened = await self._course.read(store.window_after, window)
        return pb.CloseWindowResponse(
            window=await self._message(window.window_id),
            next_window=await self._message(opened.window_id),
        )

    async def list_windows(
        self, request: pb.ListWindowsRequest, caller: Caller
    ) -> pb.ListWindowsResponse:
        """The newest windows; a partner sees those of its currency, with its own net only."""
        if request.page_size < 0:
            raise Refused(Reason.FIELD_INVALID, "page_size", "a page size is not negative")
        windows_max = min(request.page_size or PAGE_DEFAULT, PAGE_MAX)

        def read(connection: Any) -> list[pb.Window]:
            currency = None if caller.is_operator else store.currency_of(connection, caller.name)
            windows = store.newest_windows(connection, currency, windows_max)
            nets = store.net_positions(connection, windows)
            return [
                wire.window_message(
                    window,
                    [
                        each
                        for each in nets.get(window.number, ())
                        if caller.is_operator or each.party == caller.name
                    ],
                )
                for window in windows
            ]

        return pb.ListWindowsResponse(windows=await self._course.read(read))

    # Settlement

    async def settle_window(
        self, request: pb.SettleWindowRequest, caller: Caller
    ) -> pb.SettleWindowResponse:
        """State a closed window, record the legs that can be recorded, settle it when all are
        confirmed.
        """
        caller.require_operator()
        check_id(request.window_id, "window_id")
        # Shielded: a caller that goes away must not end the turn while its bookings are queued.
        legs = await asyncio.shield(self._course.settle(request.window_id, request.draft_sha256))
        return pb.SettleWindowResponse(
            window=await self._message(request.window_id), legs=map(wire.leg_message, legs)
        )

    # Statements

    async def get_statement(
        self, request: pb.GetStatementRequest, caller: Caller
    ) -> pb.GetStatementResponse:
        """A partner's statement, signed from its stored payload."""
        partner_id = _whose(request.partner_id, caller)
        check_id(request.window_id, "window_id")
        payload = await self._course.read(
            store.statement_payload, request.window_id, partner_id, request.version
        )
        if payload is None:
            raise _statement_unknown(request.window_id)
        named = wire.parse_statement(payload).signing_key_id
        signer = self._signers.named(Purpose.STATEMENTS, named)
        envelope = await asyncio.to_thread(dsse.sign, signer, dsse.SETTLEMENT_STATEMENT, payload)
        return pb.GetStatementResponse(statement=envelope_to_proto(envelope))

    async def download_line_file(
        self, request: pb.DownloadLineFileRequest, caller: Caller
    ) -> AsyncIterator[pb.DownloadLineFileResponse]:
        """The line file of a statement, in chunks."""
        partner_id = _whose(request.partner_id, caller)
        check_id(request.window_id, "window_id")
        stored = await self._course.read(self._stated_line_file, request.window_id, partner_id)
        # Each part is read by itself: a slow caller holds no transaction open.
        for part in count():
            content = await self._course.read(stored.part, part)
            if content is None:
                return
            for start in range(0, len(content), CHUNK_BYTES_MAX):
                yield pb.DownloadLineFileResponse(chunk=content[start : start + CHUNK_BYTES_MAX])

    @staticmethod
    def _stated_line_file(connection: Any, window_id: str, partner_id: str) -> store.StoredLineFile:
        # A file that no statement names yet is not shown: a crash may have left it.
        stated = store.statement_payload(connection, window_id, partner_id)
        stored = store.line_file_of(connection, window_id, partner_id) if stated else None
        if stored is None:
            raise _statement_unknown(window_id)
        return stored

    # What all of them do

    async def _message(self, window_id: str) -> pb.Window:
        """A window as an operator sees it."""

        def read(connection: Any) -> pb.Window:
            window = store.window_named(connection, window_id)
            nets = store.net_positions(connection, [window])
            return wire.window_message(window, nets.get(window.number, ()))

        return await self._course.read(read)


def _date(text: str, field: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Refused(
            Reason.FIELD_INVALID, field, f"{text!r} is not a date such as 2017-01-31"
        ) from None


def _whose(partner_id: str, caller: Caller) -> str:
    """The partner whose papers are asked for; others' are answered as if they did not exist."""
    if caller.is_operator:
        if not partner_id:
            raise Refused(Reason.FIELD_INVALID, "partner_id", "an operator names the partner")
        return check_id(partner_id, "partner_id")
    if partner_id not in ("", caller.name):
        raise Refused(Reason.STATEMENT_UNKNOWN, "partner_id", "there is no such statement")
    return caller.name


def _statement_unknown(window_id: str) -> Refused:
    return Refused(
        Reason.STATEMENT_UNKNOWN, "window_id", f"there is no such statement of {window_id}"
    )
