"""SettlementService: each room's calls, as partners and operators call for them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from exchange.commands import Command
from exchange.joined_calls import JoinedCalls
from exchange.outcomes import Result
from partners.signers import Signers
from settlement.accounts.service import SettlementAccounts
from settlement.approval.service import Approval
from settlement.bank.service import BankCalls
from settlement.calendar.service import WindowCalls
from settlement.collateral.service import CollateralCalls
from settlement.course import Course
from settlement.journals.service import Journals
from settlement.lines.service import StatementCalls
from settlement.month.audit.service import AuditExport
from settlement.month.service import Month
from settlement.overdue.service import OverduePayments
from settlement.own_funds.service import OwnFundsCalls
from settlement.pairs.service import PairCalls
from settlement.payouts.service import PayOuts
from settlement.reconciliation.resolving.service import BreakCalls
from settlement.reconciliation.service import ReconciliationCalls
from settlement.reports.service import ReportService
from settlement.schemes.service import Schemes


class SettlementService(JoinedCalls):
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
        course = Course(engine, submit, audience, signers, now)
        super().__init__(
            WindowCalls(course),
            StatementCalls(course, signers),
            Approval(course, audience, signers, now),
            BankCalls(course, now),
            SettlementAccounts(course, audience, now),
            ReconciliationCalls(engine, now),
            BreakCalls(engine, now),
            OverduePayments(course, now),
            OwnFundsCalls(course),
            PairCalls(course, audience, now),
            PayOuts(course, audience, now),
            ReportService(engine, course, audience),
            CollateralCalls(course, audience, now),
            Journals(course),
            Schemes(course),
            Month(course, audience, signers),
            AuditExport(engine, audience, signers),
        )
