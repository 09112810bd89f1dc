"""Whether a scheme can be kept to. Pure.

Every fault is told with its field and with what would do. Accounts that look like an IBAN (ISO
13616) must have its check digits right; a bank's code is one of ISO 9362.
"""

import re
from itertools import pairwise

from stdnum import bic

from partners.errors import Reason, Refused
from partners.points import POINTS_MAX, currency_scale
from settlement.accounts.account import is_iban, is_like_iban
from settlement.calendar.banking import DUE_DAYS_MAX, parse_calendar
from settlement.calendar.cut_off import parse_cut_off, parse_zone
from settlement.schemes.scheme import CashLegs, Scheme

MINUTES_MAX = 14 * 24 * 60
"""Of the clock of a statement."""
HOURS_MAX = 30 * 24
DAYS_MAX = 366
NAME_MAX = 70
"""Characters of a name in SEPA's messages."""

_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9./-]{0,33}")
_BIC_FORM = re.compile(r"[A-Z0-9]{8}([A-Z0-9]{3})?")


def check_scheme(scheme: Scheme) -> None:
    """Raise Refused(FIELD_INVALID), naming the field, unless everything in a scheme can be kept
    to.
    """
    currency_scale(scheme.currency, "scheme.currency")
    if scheme.cut_off:
        parse_cut_off(scheme.cut_off, "scheme.cut_off")
    parse_zone(scheme.zone, "scheme.zone")
    parse_calendar(scheme.banking_calendar, "scheme.banking_calendar")
    _check_range(scheme.due_days, DUE_DAYS_MAX, "due_days")
    if not 0 <= scheme.minimum_payout <= POINTS_MAX:
        raise _invalid("minimum_payout", "an amount from 0 on is wanted, and no more than is held")
    _check_range(scheme.acknowledge_minutes, MINUTES_MAX, "acknowledge_minutes")
    _check_range(scheme.remind_after_hours, HOURS_MAX, "remind_after_hours")
    _check_range(scheme.account_cooling_hours, HOURS_MAX, "account_cooling_hours")
    _check_waterfall(scheme)
    _check_accounts(scheme)
    if scheme.bank_bic and not (_BIC_FORM.fullmatch(scheme.bank_bic) and _is_bic(scheme.bank_bic)):
        raise _invalid(
            "bank_bic", f"{scheme.bank_bic!r} is not a bank's code of 8 or 11, such as COBADEFFXXX"
        )
    name = scheme.operator_name
    if len(name) > NAME_MAX or not name.isprintable() or name != name.strip():
        raise _invalid("operator_name", f"a name has at most {NAME_MAX} printable characters")


def check_switch(scheme: Scheme, unsettled: str | None) -> None:
    """Raise Refused(WINDOW_STATE) where the bank is to settle again and partners have not ended
    what they pay each other: `unsettled` names their oldest window that has not ended.

    What they were asked for would be asked for twice.
    """
    if scheme.cash_legs is CashLegs.MULTILATERAL and unsettled is not None:
        raise Refused(
            Reason.WINDOW_STATE,
            "scheme.cash_legs",
            f"partners pay each other for {unsettled}: have them confirm it, or abort it, before"
            " the bank settles again",
        )


def _check_waterfall(scheme: Scheme) -> None:
    """What follows a missing payment comes in its order."""
    steps = ("draw_after_days", "hold_after_days", "unwind_after_days")
    for name in steps:
        _check_range(getattr(scheme, name), DAYS_MAX, name)
    for earlier, later in pairwise(steps):
        if getattr(scheme, later) < getattr(scheme, earlier):
            raise _invalid(later, f"{later} comes before {earlier}: make it larger, or the same")


def _check_accounts(scheme: Scheme) -> None:
    """Both accounts have a number that a bank could have given, and not the same one."""
    for field in ("settlement_account", "collateral_account"):
        number = getattr(scheme, field)
        if number and not _ACCOUNT.fullmatch(number):
            raise _invalid(
                field, "an account has at most 34 of A-Z, a-z, 0-9, . / and -, without spaces"
            )
        if is_like_iban(number) and not is_iban(number):
            raise _invalid(field, f"the check digits of {number} are not those of an IBAN")
    if scheme.settlement_account_id == scheme.collateral_account_id:
        raise _invalid(
            "collateral_account", "collateral lies apart: name another than settlement_account"
        )


def _is_bic(code: str) -> bool:
    return bool(bic.is_valid(code))


def _check_range(value: int, most: int, field: str) -> None:
    if not 0 <= value <= most:
        raise _invalid(field, f"{value} is not from 0 to {most}")


def _invalid(field: str, text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, f"scheme.{field}", text)
