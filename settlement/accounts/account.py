"""A partner's bank account, as its signed `settlement-account` event states it. Pure.

Rules kept here, so that whatever is stored can be written into a pay-out file:

- An account is an IBAN with right check digits, or another identification; never both.
- Without an IBAN a bank cannot be told from the account, so its BIC or its membership of a clearing
  system is stated.
- Name, street and town are printable and as long as pain.001 takes them; town and country are
  always stated, since banks refuse addresses without them.

Source: ISO 13616 (IBAN), ISO 9362 (BIC), ABA routing numbers, by python-stdnum; lengths from
pain.001.001.03 and pain.001.001.09.
"""

import re
from dataclasses import dataclass

from stdnum import bic as bic_numbers
from stdnum import iban as iban_numbers
from stdnum.exceptions import ValidationError as NumberError
from stdnum.us import rtn as routing_numbers

from partners.errors import Reason, Refused

NAME_MAX = 140
STREET_MAX = 70
BUILDING_MAX = 16
POSTCODE_MAX = 16
TOWN_MAX = 35
VERSION_MAX = 9_999

_LIKE_IBAN = re.compile(r"[A-Z]{2}[0-9]{2}[A-Z0-9]{11,30}")
_OTHER = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ./-]{0,32}[A-Za-z0-9])?")
_COUNTRY = re.compile(r"[A-Z]{2}")
_SYSTEM = re.compile(r"[A-Z]{5}|[A-Z]{3,4}")
_MEMBER = re.compile(r"[A-Z0-9]{1,35}")
US_ROUTING = "USABA"
"""Code of the American clearing system, whose numbers have check digits."""


@dataclass(frozen=True, slots=True)
class Address:
    """A postal address in fields, as banks take it."""

    street: str
    building: str
    postcode: str
    town: str
    country: str
    """ISO 3166-1 alpha-2."""


NO_ADDRESS = Address("", "", "", "", "")
"""Of whoever is paid by its account alone."""


@dataclass(frozen=True, slots=True)
class BankAccount:
    """An account at a bank and whose it is."""

    iban: str
    """In its electronic form, without spaces; empty where the country has none."""
    other: str
    """The account's number where there is no IBAN."""
    bic: str
    """Empty where the IBAN or the clearing system says which bank."""
    clearing_system: str
    """ISO 20022 external code, such as USABA, CNAPS or JPZGN; empty for none."""
    clearing_member: str
    name: str
    """Of the holder."""
    address: Address

    @property
    def identification(self) -> str:
        """The IBAN, or what stands for it."""
        return self.iban or self.other


@dataclass(frozen=True, slots=True)
class AccountEvent:
    """What a partner signed: from now on pay me there."""

    partner_id: str
    currency: str
    version: int
    """From 1; each event's is one more than that of the event before."""
    account: BankAccount


def check_account(account: BankAccount, at: str = "account") -> BankAccount:
    """The account, if it is well-formed; raises Refused(FIELD_INVALID) naming the field."""
    check_identification(account, at)
    check_text(account.name, f"{at}.name", NAME_MAX, required=True)
    check_address(account.address, f"{at}.address")
    return account


def check_identification(account: BankAccount, at: str = "account") -> None:
    """Raise Refused(FIELD_INVALID) unless a bank can tell which account at which bank it is."""
    if bool(account.iban) == bool(account.other):
        raise _invalid(f"{at}.iban", "name the IBAN or, where there is none, another number")
    if account.iban:
        check_iban(account.iban, f"{at}.iban")
    elif not _OTHER.fullmatch(account.other):
        raise _invalid(
            f"{at}.other", "an account's number has 1 to 34 letters, digits, spaces, dots, - and /"
        )
    if account.bic:
        check_bic(account.bic, f"{at}.bic")
    _check_clearing(account, at)
    if not (account.iban or account.bic or account.clearing_member):
        raise _invalid(
            f"{at}.bic", "without an IBAN, name the bank by its BIC or in its clearing system"
        )


def check_iban(iban: str, field: str) -> str:
    """The IBAN, if it is one in its electronic form; raises Refused(FIELD_INVALID)."""
    try:
        valid = iban_numbers.validate(iban)
    except NumberError:
        valid = ""
    if valid != iban:
        # The number itself is not repeated: an error's text is logged.
        raise _invalid(field, "this is no IBAN: check its digits, and write it without spaces")
    return iban


def is_like_iban(account: str) -> bool:
    """Whether an identification has the form of an IBAN, whatever its check digits."""
    return bool(_LIKE_IBAN.fullmatch(account))


def is_iban(account: str) -> bool:
    """Whether an identification is an IBAN."""
    try:
        check_iban(account, "account")
    except Refused:
        return False
    return True


def check_bic(bic: str, field: str) -> str:
    """The BIC, if it has the form of one; raises Refused(FIELD_INVALID)."""
    try:
        valid = bic_numbers.validate(bic)
    except NumberError:
        valid = ""
    if valid != bic:
        raise _invalid(field, "a BIC has 8 or 11 capital letters and digits, such as DEUTDEFF")
    return bic


def _check_clearing(account: BankAccount, at: str) -> None:
    system, member = account.clearing_system, account.clearing_member
    if bool(system) != bool(member):
        raise _invalid(f"{at}.clearing_member", "a clearing system and a member of it go together")
    if not system:
        return
    if not _SYSTEM.fullmatch(system):
        raise _invalid(
            f"{at}.clearing_system", "a clearing system has an ISO 20022 code, such as USABA"
        )
    if not _MEMBER.fullmatch(member):
        raise _invalid(f"{at}.clearing_member", "a member has 1 to 35 capital letters and digits")
    if system == US_ROUTING and not routing_numbers.is_valid(member):
        raise _invalid(f"{at}.clearing_member", "this is no routing number: check its digits")


def check_address(address: Address, at: str) -> None:
    """Raise Refused(FIELD_INVALID), naming the field, unless it can be written on a paper or into
    a pay-out file.
    """
    check_text(address.street, f"{at}.street", STREET_MAX)
    check_text(address.building, f"{at}.building", BUILDING_MAX)
    check_text(address.postcode, f"{at}.postcode", POSTCODE_MAX)
    check_text(address.town, f"{at}.town", TOWN_MAX, required=True)
    if not _COUNTRY.fullmatch(address.country):
        raise _invalid(f"{at}.country", "a country is named by two capital letters, such as DE")


def check_text(text: str, field: str, length_max: int, *, required: bool = False) -> None:
    """Raise Refused(FIELD_INVALID) unless a text is printable and short enough."""
    if not text and not required:
        return
    if not 1 <= len(text) <= length_max or not text.isprintable() or text != text.strip():
        raise _invalid(field, f"this has 1 to {length_max} printable characters")


def _invalid(field: str, text: str) -> Refused:
    return Refused(Reason.FIELD_INVALID, field, text)
