"""References: of the standard's form, and one for each payment."""

from stdnum import iso11649

from settlement.references import collateral_reference, leg_reference, refund_reference


def test_references_are_of_the_standards_form_and_tell_payments_apart() -> None:
    made = [
        leg_reference(999_999, 9999),
        leg_reference(999_999, 9999, 99),
        collateral_reference(1),
        collateral_reference(999_999),
        refund_reference(0, 0),
        refund_reference(10**12, 9999),
    ]
    assert all(iso11649.is_valid(each) for each in made)
    assert len({*made}) == len(made)
    assert max(map(len, made)) <= 25
