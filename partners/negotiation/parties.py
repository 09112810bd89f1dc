"""Whether terms fit those who are registered. Pure."""

from partners.agreement import Terms
from partners.errors import Reason, Refused
from partners.registry import Registry


def check_known(registry: Registry, terms: Terms, signer: str) -> None:
    """Raise Refused unless both brands have these programs and the signer is one of them."""
    if signer not in terms.signatories:
        raise Refused(Reason.NOT_A_PARTY, "agreement", "the agreement is between other brands")
    for partner_id, program, field in (
        (terms.source_partner, terms.source_program, "source"),
        (terms.target_partner, terms.target_program, "target"),
    ):
        if partner_id not in registry.partners:
            raise Refused(Reason.PARTNER_UNKNOWN, f"{field}_partner", f"no partner {partner_id}")
        if registry.programs.get(program) != partner_id:
            raise Refused(
                Reason.PROGRAM_UNKNOWN, f"{field}_program", f"{partner_id} has no {program}"
            )
    check_taxes(registry, terms)
    for partner_id in terms.other_funders:
        if partner_id not in registry.partners:
            raise Refused(Reason.PARTNER_UNKNOWN, "promotions", f"no partner {partner_id}")


def check_taxes(registry: Registry, terms: Terms) -> None:
    """Raise Refused(TERMS_INVALID) unless the taxes of the terms are in the table."""
    for code, field in (
        (terms.fee.tax_code, "tax_code"),
        (terms.value_tax_code, "value_tax_code"),
    ):
        if code and code not in registry.taxes:
            raise Refused(Reason.TERMS_INVALID, field, f"there is no tax {code}")
