"""References of payments: ISO 11649, `RF`, two check digits, then a body. Pure.

    W<window number>P<partner number>     a leg; V<version> from a statement's second version on;
                                          partner number 0 for the operator's own
    C<partner number>                     a top-up of a partner's collateral
    D<window number>P<partner number>     a draw on collateral; N<number> from the second one on
    X<log index>                          a withdrawal of collateral, by where it was asked for
    F<currency's number>N<number>         fees or taxes that the operator takes out
    S<log index>P<place>                  money given back out of suspense
    W<window number>P<number>Q<number>    what one partner pays another: payer, then payee

A leg's reference follows from what it pays and nothing else, so every repeat of a step names the
same payment and no two legs share a name.
"""

from stdnum import iso11649
from stdnum.iso7064 import mod_97_10


def leg_reference(window_number: int, partner_number: int, version: int = 1) -> str:
    """The reference of the leg between the operator and one partner for one window, at most 25
    characters. What a later version of a statement asks for has a leg of its own.
    """
    later = f"V{version}" if version > 1 else ""
    return structured(f"W{window_number:06d}P{partner_number:04d}{later}")


def pair_reference(window_number: int, payer_number: int, payee_number: int) -> str:
    """Of what one partner pays another for a window, at most 25 characters."""
    return structured(f"W{window_number:06d}P{payer_number:04d}Q{payee_number:04d}")


def structured(body: str) -> str:
    """The ISO 11649 reference of a body of letters and digits, at most 21 of them."""
    return str(iso11649.validate(f"RF{mod_97_10.calc_check_digits(body + 'RF')}{body}"))


def collateral_reference(partner_number: int) -> str:
    """What a partner writes on a payment that tops its collateral up: the same for ever, since
    top-ups come unannounced.
    """
    return structured(f"C{partner_number:04d}")


def draw_reference(window_number: int, partner_number: int, number: int = 1) -> str:
    """Of a draw on a partner's collateral for what it has not paid of a window."""
    later = f"N{number}" if number > 1 else ""
    return structured(f"D{window_number:06d}P{partner_number:04d}{later}")


def withdrawal_reference(requested_index: int) -> str:
    """Of collateral that is paid back, by the log index of the partner's request."""
    return structured(f"X{requested_index}")


def own_funds_reference(unit: int, number: int) -> str:
    """Of what the operator takes out of its own, counted from 1 for each currency."""
    return structured(f"F{unit:04d}N{number}")


def refund_reference(log_index: int, place: int) -> str:
    """Of a payment that gives back what lay in suspense, by where its item was booked."""
    return structured(f"S{log_index}P{place}")
