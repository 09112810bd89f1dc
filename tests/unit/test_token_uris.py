"""PKCS#11 URIs: what names a key in a token, and what is refused before any token is asked."""

from pathlib import Path

import pytest

from exchange.token_keys import parse_token_uri

GOOD = "pkcs11:token=Our%20HSM;object=receipts-1?module-path=/usr/lib/p11.so&pin-source=file:/etc/p"


def test_a_uri_names_token_object_library_and_the_file_of_the_pin() -> None:
    key = parse_token_uri(GOOD)
    assert (key.token, key.label) == ("Our HSM", "receipts-1")
    assert (key.module, key.pin_file) == (Path("/usr/lib/p11.so"), Path("/etc/p"))


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("file:keys/receipts.pem", "begins with pkcs11:"),
        (GOOD + "&pin-value=1234", "a PIN has no place in a setting"),
        (GOOD.replace(";object=receipts-1", ""), "lacks object"),
        (GOOD.replace("token=Our%20HSM", "token="), "lacks token"),
        (GOOD + "&slot-id=1", "is not one of"),
        (GOOD + "&module-path=/other", "each given once"),
        ("pkcs11:", "is not one of"),
    ],
)
def test_a_uri_that_is_not_whole_or_holds_a_pin_is_refused_with_what_to_do(
    uri: str, told: str
) -> None:
    with pytest.raises(ValueError, match=told) as refused:
        parse_token_uri(uri)
    assert "1234" not in str(refused.value)
