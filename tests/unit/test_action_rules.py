"""Every call of the wire has been judged: a signed action, a reading, or a partner's own."""

import pytest

from exchange.serving.services import descriptors
from partners.actions.rules import RULES, check_direct_call, needs_action
from partners.errors import Reason, Refused
from partners.operators.roles import ALL_ROLES, Role

READINGS = {
    *("GetTransfer", "ListTransfers", "ListReceipts", "WatchTransfers", "SimulateTransfer"),
    *(
        "GetPosition",
        "ListCorridors",
        "ListPartners",
        "ListKeys",
        "ListTaxRates",
        "ListSwitches",
        "ListLimits",
        "ListRoutes",
        "ListHeldTransfers",
        "ListDeliveries",
    ),
    *("ListLinks", "ListAgreements", "GetAgreement", "ListOperators", "GetAction", "ListActions"),
    *("ListWindows", "GetStatement", "DownloadLineFile"),
    *("ListSettlementAccounts", "GetPayOutFile", "ListPayOutFiles"),
    *("GetPaymentRequest", "GetRemittanceAdvice"),
    *("ListSettlementAccounts",),
    *("ListCollateral", "ListAdjustments"),
    *("GetPaymentRequest", "GetRemittanceAdvice", "ListOverdue", "GetUnwindReport"),
    *("GetScheme", "ListSchemes"),
    *("GetDraft", "ListDisputes", "GetDispute", "GetApproval"),
    *("GetColumnMapping", "GetReconciliation", "ListBreaks", "GetBreak"),
    *("ListReports", "DownloadReport", "GetAccountMap", "ExportBooks"),
    *("ListPairLegs", "ListOwnFunds"),
    *("ListBankFiles", "ListSuspense"),
    *("ListInvoicing", "ListInvoices", "GetInvoice", "GetBalanceConfirmation"),
    "ListBillingDetails",
    *("GetAgeing", "GetAccruals", "GetPromotionCosts", "DownloadMonthPaper"),
    *("GetCloseChecklist", "ExportAudit"),
}
"""Whoever may call them changes nothing."""
PARTNERS_OWN = {
    *("CreateTransfer", "BatchCreateTransfers", "ProposeAgreement", "SignAgreement"),
    *("CounterAgreement", "WithdrawAgreement", "TerminateAgreement"),
    *("CancelTransfer", "ReverseTransfer", "PullCredits", "ConfirmCredit"),
    *("StartLink", "ConfirmLink", "RevokeLink", "ValidateMember", "CreateQuote"),
    *("RequestWithdrawal",),
    *("AcknowledgeStatement", "DisputeLines"),
    *("SetColumnMapping", "UploadReconciliation", "RunReconciliation"),
    *("SubmitSettlementAccount", "ConfirmBalance", "ConfirmPayment"),
}
"""An operator is refused them."""
OF_ITSELF = {"Act"}

METHODS = {
    f"{service.full_name}/{method.name}" for service in descriptors() for method in service.methods
}


def test_every_call_is_a_signed_action_or_a_reading_or_a_partners_own() -> None:
    others = {name.rpartition("/")[2] for name in METHODS - RULES.keys()}
    assert others == READINGS | PARTNERS_OWN | OF_ITSELF


def test_the_table_names_no_call_that_there_is_not() -> None:
    assert RULES.keys() <= METHODS


@pytest.mark.parametrize("method", [each for each in RULES if needs_action(each)])
def test_no_role_makes_a_bare_call_of_what_takes_an_action(method: str) -> None:
    with pytest.raises(Refused) as refused:
        check_direct_call(method, ALL_ROLES)
    assert refused.value.reason is Reason.ACTION_REQUIRED


def test_a_statement_that_an_operator_signed_itself_takes_the_role_alone() -> None:
    statements = [name for name, rule in RULES.items() if rule.own_statement]
    assert statements
    for method in statements:
        check_direct_call(method, frozenset((Role.OPERATOR,)))
        with pytest.raises(Refused) as refused:
            check_direct_call(method, frozenset((Role.AUDITOR, Role.RATES)))
        assert refused.value.reason is Reason.ROLE_MISSING
        assert refused.value.metadata == {"role": "operator"}


@pytest.mark.parametrize("method", sorted(METHODS - RULES.keys()))
def test_what_changes_nothing_is_called_as_it_is(method: str) -> None:
    check_direct_call(method, frozenset((Role.AUDITOR,)))


def test_auditors_change_nothing() -> None:
    assert all(Role.AUDITOR not in (rule.maker, rule.checker) for rule in RULES.values())
