"""SettlementService: each room's calls, as partners and operators call for them."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from sqlalchemy import Engine

from exchange.commands import Command
from exchange.joined_calls import JoinedCalls
from exchange.outcomes import Result
from partners.signers import Signers
from settlement.accounts.service import AccountCalls
from settlement.approval.service import ApprovalCalls
from settlement.bank.service import BankCalls
from settlement.calendar.service import WindowCalls
from settlement.collateral.service import CollateralCalls
from settlement.course import Course
from settlement.journals.service import JournalCalls
from settlement.lines.service import StatementCalls
from settlement.month.audit.service import AuditCalls
from settlement.month.billing.service import BillingCalls
from settlement.month.closing.service import ClosingCalls
from settlement.month.confirming.service import ConfirmingCalls
from settlement.month.papers.service import PaperCalls
from settlement.month.service import MonthCalls
from settlement.overdue.service import OverdueCalls
from settlement.own_funds.service import OwnFundsCalls
from settlement.pairs.service import PairCalls
from settlement.payouts.service import PayOutCalls
from settlement.reconciliation.resolving.service import BreakCalls
from settlement.reconciliation.service import ReconciliationCalls
from settlement.reports.service import ReportCalls
from settlement.schemes.service import SchemeCalls


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
        confirming = ConfirmingCalls(course, audience, signers)
        super().__init__(
            WindowCalls(course),
            StatementCalls(course, signers),
            ApprovalCalls(course, audience, signers, now),
            BankCalls(course, now),
            AccountCalls(course, audience, now),
            ReconciliationCalls(engine, now),
            BreakCalls(engine, now),
            OverdueCalls(course, now),
            OwnFundsCalls(course),
            PairCalls(course, audience, now),
            PayOutCalls(course, audience, now),
            ReportCalls(engine, course, audience),
            CollateralCalls(course, audience, now),
            JournalCalls(course),
            SchemeCalls(course),
            MonthCalls(course),
            ClosingCalls(course),
            BillingCalls(course),
            confirming,
            PaperCalls(course, confirming),
            AuditCalls(engine, audience, signers),
        )
