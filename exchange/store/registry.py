"""Who takes part, and how: partners, keys, tax rates."""

from typing import Any

from exchange.outcomes import KeyRevoked, PartnerAdded, PartnerMoved, TaxRateAdded
from exchange.store.queries import QUERIES
from partners.registry import RegisteredKey, Registry


def write_partner(connection: Any, added: PartnerAdded, log_index: int) -> None:
    """A partner with its units, programs, accounts and the head of its stream."""
    QUERIES.write_units(
        connection,
        unit_numbers=[unit.number for unit in added.units],
        names=[unit.name for unit in added.units],
        scales=[unit.scale for unit in added.units],
    )
    QUERIES.write_partner(
        connection,
        partner_number=added.partner.number,
        partner_id=added.partner.partner_id,
        legal_name=added.partner.legal_name,
        currency=added.partner.currency,
        net_debit_cap=added.partner.net_debit_cap,
        log_index=log_index,
        programs=list(added.partner.programs),
        account_numbers=[account.number for account in added.accounts],
        account_names=[account.name for account in added.accounts],
        floors=[account.floor for account in added.accounts],
        ceilings=[account.ceiling for account in added.accounts],
    )


def write_partner_state(
    connection: Any, moved: PartnerMoved, registry: Registry, log_index: int
) -> None:
    """The state that a partner is in from now on."""
    QUERIES.write_partner_state(
        connection,
        partner_number=registry.partners[moved.partner_id].number,
        log_index=log_index,
        state=moved.state.value,
    )


def write_key(connection: Any, key: RegisteredKey) -> None:
    """A key that was registered."""
    QUERIES.write_key(
        connection,
        key_id=key.key_id,
        holder=key.holder,
        purpose=key.purpose.value,
        public_key=key.public_key,
        valid_from=key.valid_from,
        valid_until=key.valid_until,
        registered_index=key.registered_index,
    )


def write_revocation(connection: Any, revoked: KeyRevoked) -> None:
    """The end of a key's force."""
    QUERIES.revoke_key(connection, key_id=revoked.key_id, revoked_index=revoked.revoked_index)


def write_tax_rate(connection: Any, added: TaxRateAdded, log_index: int) -> None:
    """A tax rate, and the accounts of a code that is new."""
    QUERIES.write_tax_rate(
        connection,
        tax_code=added.tax.code,
        tax_number=added.tax.number,
        effective_from=added.rate.effective_from,
        basis_points=added.rate.basis_points,
        log_index=log_index,
        account_numbers=[account.number for account in added.accounts],
        account_names=[account.name for account in added.accounts],
    )
