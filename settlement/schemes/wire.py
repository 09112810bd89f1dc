"""Between the wire's messages and schemes."""

from partners.errors import Reason, Refused
from pointclear.settlement.v1 import scheme_pb2 as pb
from settlement.schemes.scheme import CashLegs, DefaultOutcome, Scheme

_CASH_LEGS = {
    pb.CASH_LEGS_UNSPECIFIED: CashLegs.MULTILATERAL,
    pb.CASH_LEGS_MULTILATERAL: CashLegs.MULTILATERAL,
    pb.CASH_LEGS_BILATERAL: CashLegs.BILATERAL,
}
_OUTCOMES = {
    pb.DEFAULT_OUTCOME_UNSPECIFIED: DefaultOutcome.ACCEPTED,
    pb.DEFAULT_OUTCOME_ACCEPTED: DefaultOutcome.ACCEPTED,
}


def scheme_from_proto(message: pb.Scheme) -> Scheme:
    """A scheme that is not checked yet; raises Refused(FIELD_INVALID) for a choice that is none."""
    if message.cash_legs not in _CASH_LEGS:
        raise _no_choice("cash_legs", "MULTILATERAL and BILATERAL")
    if message.default_outcome not in _OUTCOMES:
        raise _no_choice("default_outcome", "ACCEPTED")
    return Scheme(
        currency=message.currency,
        cut_off=message.cut_off,
        zone=message.zone or "UTC",
        banking_calendar=message.banking_calendar,
        due_days=message.due_days,
        minimum_payout=message.minimum_payout,
        acknowledge_minutes=message.acknowledge_minutes,
        default_outcome=_OUTCOMES[message.default_outcome],
        cash_legs=_CASH_LEGS[message.cash_legs],
        remind_after_hours=message.remind_after_hours,
        draw_after_days=message.draw_after_days,
        hold_after_days=message.hold_after_days,
        unwind_after_days=message.unwind_after_days,
        account_cooling_hours=message.account_cooling_hours,
        settlement_account=message.settlement_account,
        collateral_account=message.collateral_account,
        bank_bic=message.bank_bic,
        operator_name=message.operator_name,
    )


def scheme_to_proto(scheme: Scheme) -> pb.Scheme:
    """A scheme as the wire shows it."""
    return pb.Scheme(
        currency=scheme.currency,
        cut_off=scheme.cut_off,
        zone=scheme.zone,
        banking_calendar=scheme.banking_calendar,
        due_days=scheme.due_days,
        minimum_payout=scheme.minimum_payout,
        acknowledge_minutes=scheme.acknowledge_minutes,
        default_outcome=pb.DEFAULT_OUTCOME_ACCEPTED,
        cash_legs=(
            pb.CASH_LEGS_BILATERAL
            if scheme.cash_legs is CashLegs.BILATERAL
            else pb.CASH_LEGS_MULTILATERAL
        ),
        remind_after_hours=scheme.remind_after_hours,
        draw_after_days=scheme.draw_after_days,
        hold_after_days=scheme.hold_after_days,
        unwind_after_days=scheme.unwind_after_days,
        account_cooling_hours=scheme.account_cooling_hours,
        settlement_account=scheme.settlement_account,
        collateral_account=scheme.collateral_account,
        bank_bic=scheme.bank_bic,
        operator_name=scheme.operator_name,
    )


def _no_choice(field: str, choices: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, f"scheme.{field}", f"there is {choices} to choose from")
