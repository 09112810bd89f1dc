"""What a debtor is asked to pay and what a creditor is paid, as values. Pure.

Each leg has one paper. It follows from the leg, the version of the statement that asks for it, the
scheme and the pay-out file, and says how far the payment has come.
"""

from dataclasses import dataclass
from datetime import date, datetime

from partners.points import CurrencyScale
from settlement.accounts.account import BankAccount
from settlement.payouts.instruction import Instructed, PayoutFile, decimal_amount
from settlement.schemes.scheme import Scheme
from settlement.windows import Leg, LegState


@dataclass(frozen=True, slots=True)
class Paper:
    """What both papers say."""

    partner_id: str
    legal_name: str
    window_id: str
    statement_version: int
    statement_sha256: bytes
    """Of the payload of the statement that asks for it."""
    currency: CurrencyScale
    amount: int
    """Units of the currency's scale, a whole number of minor units."""
    reference: str
    state: LegState
    paid_at: datetime | None
    """When the bank's statement was booked that shows it."""

    @property
    def amount_text(self) -> str:
        """The amount as a bank writes it."""
        return decimal_amount(self.amount, self.currency)


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What a debtor is asked to pay."""

    paper: Paper
    due_date: date | None
    payee_name: str
    payee_account: str
    """IBAN or the bank's own number."""
    payee_bic: str


@dataclass(frozen=True, slots=True)
class RemittanceAdvice:
    """What a creditor is paid, and how."""

    paper: Paper
    message_id: str
    """Of the pay-out file that instructs it; empty until there is one."""
    execution_date: date | None
    account: BankAccount | None
    account_version: int


def paper_of(
    leg: Leg,
    legal_name: str,
    statement_sha256: bytes,
    currency: CurrencyScale,
    paid_at: datetime | None,
) -> Paper:
    """What both papers say of a leg."""
    return Paper(
        leg.partner_id,
        legal_name,
        leg.window_id,
        leg.version,
        statement_sha256,
        currency,
        leg.amount,
        leg.reference,
        leg.state,
        paid_at,
    )


def payment_request(
    paper: Paper, scheme: Scheme, due_date: date | None, audience: str
) -> PaymentRequest:
    """Asks a debtor to pay into the settlement account; `audience` names the exchange where the
    scheme names no operator.
    """
    return PaymentRequest(
        paper,
        due_date,
        scheme.operator_name or audience,
        scheme.settlement_account_id,
        scheme.bank_bic,
    )


def remittance_advice(
    paper: Paper, filed: tuple[PayoutFile, Instructed] | None
) -> RemittanceAdvice:
    """Tells a creditor what it is paid; `filed` is the file that instructs it, if there is one."""
    if filed is None:
        return RemittanceAdvice(paper, "", None, None, 0)
    file, instructed = filed
    return RemittanceAdvice(
        paper,
        file.message_id,
        file.execution_date,
        instructed.account,
        instructed.account_version,
    )
