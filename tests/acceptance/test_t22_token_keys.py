"""The exchange's keys in a PKCS#11 token: SoftHSM2 stands for a hardware security module.

`.ci/run` installs SoftHSM2 where it may, and then a skip is a failure.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from exchange.errors import CannotStart
from exchange.token_keys import TokenSigner, make_token_key, parse_token_uri
from partners.key_files import KeyFileError
from partners.keys import verify
from tests.acceptance.coalition import coalition, make_data_dir
from tests.processes import Server, folder, pointclear

PIN = "canary-pin-471108"
LIBRARIES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so"),
    Path("/opt/homebrew/lib/softhsm/libsofthsm2.so"),
)


@dataclass(frozen=True)
class Token:
    """An initialised token, and the file with its PIN."""

    library: Path
    configuration: Path
    pin_file: Path

    def uri(self, label: str) -> str:
        """Names a key in it."""
        return (
            f"pkcs11:token=pointclear;object={label}"
            f"?module-path={self.library}&pin-source=file:{self.pin_file}"
        )


@pytest.fixture(scope="module")
def token() -> Iterator[Token]:
    library = next((each for each in LIBRARIES if each.exists()), None)
    if library is None or shutil.which("softhsm2-util") is None:
        assert os.environ.get("CI") != "true", "SoftHSM2 is not installed"
        pytest.skip("SoftHSM2 is not installed (Debian: apt-get install softhsm2)")
    with folder() as home, pytest.MonkeyPatch.context() as patch:
        (home / "tokens").mkdir()
        configuration = home / "softhsm2.conf"
        configuration.write_text(f"directories.tokendir = {home / 'tokens'}\nlog.level = ERROR\n")
        patch.setenv("SOFTHSM2_CONF", str(configuration))
        subprocess.run(
            [
                *("softhsm2-util", "--init-token", "--free", "--label", "pointclear"),
                *("--pin", PIN, "--so-pin", "the officer's own"),
            ],
            check=True,
            capture_output=True,
        )
        pin_file = home / "pin"
        pin_file.write_text(f"{PIN}\n")
        pin_file.chmod(0o600)
        yield Token(library, configuration, pin_file)


def test_t22_a_key_in_a_token_signs_and_cannot_be_taken_out(token: Token) -> None:
    import pkcs11

    key = parse_token_uri(token.uri("receipts-0"))
    made, found = make_token_key(key), TokenSigner(key)
    assert made.key_id == found.key_id
    signature = found.sign(b"message")
    verify(found.public_key, b"message", signature)
    assert made.sign(b"message") == signature
    assert PIN not in repr(found)
    with pytest.raises(pkcs11.PKCS11Error):
        found._private[pkcs11.Attribute.VALUE]


def test_t22_a_pin_that_others_may_read_and_a_token_that_is_not_there_are_refused(
    token: Token, tmp_path: Path
) -> None:
    with pytest.raises(CannotStart, match="cannot be used"):
        TokenSigner(parse_token_uri(token.uri("never-made")))
    elsewhere = token.uri("receipts-0").replace("token=pointclear", "token=other")
    with pytest.raises(CannotStart, match="cannot be used"):
        TokenSigner(parse_token_uri(elsewhere))
    loose = tmp_path / "pin"
    loose.write_text(f"{PIN}\n")
    loose.chmod(0o644)
    uri = token.uri("receipts-0").replace(str(token.pin_file), str(loose))
    with pytest.raises(KeyFileError, match=f"chmod 600 {loose}"):
        TokenSigner(parse_token_uri(uri))


def test_t22_the_exchange_goes_on_with_a_key_in_a_token_and_old_receipts_stay(
    token: Token,
) -> None:
    with folder() as home:
        data_dir = make_data_dir(home)
        environment = {"SOFTHSM2_CONF": str(token.configuration)}
        with Server(data_dir) as server, coalition(server, home, ("aurora", "borealis")) as members:
            aurora = members["aurora"]
            order = aurora.order()
            old = aurora.send(order)
            listen = server.listen
            uri = token.uri("receipts-1")
            rotate = ("key", "rotate", "--purpose", "receipts", "--data-dir", data_dir)
            made = pointclear(*rotate, "--token", uri, cwd=home, **environment)
            assert made.returncode == 0, made.stderr
            server.stop()
            setting = ("--set", f"signer_receipts={uri}")
            with Server(data_dir, *setting, listen=listen, **environment) as following:
                new = aurora.send(aurora.order())
                aurora.proof(new)
                assert new.signatures[0].key_id == TokenSigner(parse_token_uri(uri)).key_id
                assert aurora.send(order) == old
                assert PIN not in following.said
        shown = pointclear("config", "--data-dir", data_dir, *setting)
        assert "receipts-1" in shown.stdout
        assert PIN not in shown.stdout + shown.stderr
        stolen = pointclear(
            "config", "--data-dir", data_dir, "--set", f"signer_receipts={uri}&pin-value={PIN}"
        )
        assert stolen.returncode == 3
        assert PIN not in stolen.stdout + stolen.stderr
