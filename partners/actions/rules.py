"""Which calls of operators change something, and whose signatures each needs: the one table. Pure.

A call that is listed here reaches its handler only as a signed action through `ActionService/Act`.
What gives (rates, caps, roles, a partner's life) or moves money needs a maker and a checker, two
people; what only takes away or repeats harmlessly needs one. A call that is not listed changes
nothing, or is a partner's own.

Source: docs/operations, "Operators and roles"; the controls that finance asks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from partners.errors import Reason, Refused
from partners.operators.roles import Role, require_role


@dataclass(frozen=True, slots=True)
class Rule:
    """Whose signatures a call needs."""

    maker: Role
    checker: Role | None = None
    """The role of a second operator; None where one is enough."""
    own_statement: bool = False
    """Whether the request is itself a statement signed by the operator, and needs no other."""
    keeps_request: bool = True
    """Whether the request may be kept for the trail; not where it names a member."""


_PARTNERS = "pointclear.partners.v1.PartnersService"
_OPERATORS = "pointclear.partners.v1.OperatorService"
_LINKS = "pointclear.partners.v1.LinkService"
_EXCHANGE = "pointclear.exchange.v1.ExchangeService"
_SETTLEMENT = "pointclear.settlement.v1.SettlementService"

RULES: Mapping[str, Rule] = MappingProxyType(
    {
        f"{_PARTNERS}/RegisterPartner": Rule(Role.OPERATOR, Role.FINANCE_CHECKER),
        # A key event carries the signatures of the operators that it needs itself.
        f"{_PARTNERS}/RegisterKey": Rule(Role.OPERATOR, own_statement=True),
        f"{_PARTNERS}/RevokeKey": Rule(Role.OPERATOR, own_statement=True),
        f"{_PARTNERS}/AddTaxRate": Rule(Role.RATES, Role.FINANCE_CHECKER),
        f"{_PARTNERS}/ActivateAgreement": Rule(Role.RATES, Role.RATES),
        f"{_PARTNERS}/EndAgreement": Rule(Role.RATES, Role.RATES),
        f"{_PARTNERS}/SetSwitches": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_PARTNERS}/SetLimits": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        # Where members' references go.
        f"{_PARTNERS}/SetRoute": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_OPERATORS}/AddOperator": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_OPERATORS}/GrantRole": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_OPERATORS}/WithdrawRole": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_OPERATORS}/ActivatePartner": Rule(Role.OPERATOR, Role.OPERATOR),
        # Stopping cannot wait for a second person.
        f"{_OPERATORS}/SuspendPartner": Rule(Role.OPERATOR),
        f"{_OPERATORS}/ResumePartner": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_OPERATORS}/ExitPartner": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_LINKS}/FreezeLink": Rule(Role.OPERATOR),
        f"{_LINKS}/UnfreezeLink": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_LINKS}/RequireLinks": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_LINKS}/EraseMember": Rule(Role.OPERATOR, keeps_request=False),
        f"{_EXCHANGE}/ReleaseTransfer": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_EXCHANGE}/RefuseTransfer": Rule(Role.OPERATOR),
        f"{_EXCHANGE}/ResolveTransfer": Rule(Role.OPERATOR, Role.OPERATOR),
        f"{_SETTLEMENT}/OpenWindow": Rule(Role.OPERATOR),
        f"{_SETTLEMENT}/CloseWindow": Rule(Role.OPERATOR),
        f"{_SETTLEMENT}/SettleWindow": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/EndDispute": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/AbortWindow": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/UnwindPartner": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/ImportBankFile": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/ApproveWithdrawal": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        # The bank may be making it: what is taken back here may still be paid there.
        f"{_SETTLEMENT}/RefuseWithdrawal": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/BookAdjustment": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/ResolveSuspense": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/ApproveSettlementAccount": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        # Stopping cannot wait for a second person.
        f"{_SETTLEMENT}/RefuseSettlementAccount": Rule(Role.FINANCE_MAKER),
        f"{_SETTLEMENT}/MakePayOutFile": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/RejectPayOutFile": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/DrawCollateral": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/WithdrawOwnFunds": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        # The bank may be making it, as above.
        f"{_SETTLEMENT}/RecallOwnFunds": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        # Moves nothing: it names a partner's own accounts in files of its own.
        f"{_SETTLEMENT}/SetAccountMap": Rule(Role.FINANCE_MAKER),
        # When windows close, when payments are due, to which accounts.
        f"{_SETTLEMENT}/SetScheme": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        # In whose name documents are issued, and the documents.
        f"{_SETTLEMENT}/SetInvoicing": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/SetBillingDetails": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/IssueInvoices": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        # What partners do about their own breaks they do themselves.
        f"{_SETTLEMENT}/AssignBreak": Rule(Role.FINANCE_MAKER),
        f"{_SETTLEMENT}/CommentBreak": Rule(Role.FINANCE_MAKER),
        f"{_SETTLEMENT}/ResolveBreak": Rule(Role.FINANCE_MAKER),
        f"{_SETTLEMENT}/WriteOffBreak": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/LockPeriod": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
        f"{_SETTLEMENT}/ReopenPeriod": Rule(Role.FINANCE_MAKER, Role.FINANCE_CHECKER),
    }
)
"""By the full name of the method."""


def needs_action(method: str) -> bool:
    """Whether an operator's call of this method travels as a signed action."""
    rule = RULES.get(method)
    return rule is not None and not rule.own_statement


def check_direct_call(method: str, roles: frozenset[Role]) -> None:
    """What an operator with these roles may call without a signed action.

    Raises Refused: ACTION_REQUIRED where the call takes one, ROLE_MISSING where its statement needs
    another role.
    """
    rule = RULES.get(method)
    if rule is None:
        return
    if not rule.own_statement:
        raise Refused(
            Reason.ACTION_REQUIRED, "", f"{method} takes a signed action", {"method": method}
        )
    require_role(rule.maker, roles)
