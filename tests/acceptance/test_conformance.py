"""`pointclear conformance` against brands that are real processes, and `pointclear fulfilment`."""

import base64
import json
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import uuid_utils

from exchange.cli.deployment.initialise import initialise, load_authority
from exchange.cli.keys.key_rotation import KeyFolder
from exchange.cli.profile import load_profile
from exchange.host_keys import load_signers
from partners.fulfilment import seal
from partners.key_files import FileSigner, write_public_key
from partners.keys import Purpose
from tests.brands import AUDIENCE, FAULTY_BRAND, Brands, enrol, misbehave, serving
from tests.http_brand import EXAMPLE, MEMBER, PROGRAM
from tests.processes import folder, pointclear

CODE = b"BOREALIS-7F3K"


@dataclass(frozen=True)
class House:
    """A deployment that was made and never served, with brands of its authority."""

    data_dir: Path
    brands: Brands

    def check(
        self, address: str, *more: str | Path, partner: str = "borealis"
    ) -> tuple[int, dict[str, Any]]:
        """The exit code of `conformance` and what it printed."""
        arguments = ("--partner", partner, "--data-dir", self.data_dir, "--json", *more)
        done = pointclear("conformance", address, *arguments)
        return done.returncode, json.loads(done.stdout or done.stderr)

    def checked(self, address: str, *more: str) -> tuple[int, dict[str, Any]]:
        """The same of borealis's own."""
        public = self.brands.folder / "borealis.pub.pem"
        if not public.exists():
            write_public_key(public, self.brands.orders_key("borealis").public_key)
        return self.check(
            address, "--orders-key", public, "--member", "B-77", "--unknown-member", "B-0", *more
        )


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with folder() as path:
        data_dir = path / "data"
        initialise(data_dir, AUDIENCE, "localhost:7443", datetime.now(UTC))
        brands = Brands(path, load_authority(data_dir))
        brands.profile("borealis")
        yield House(data_dir, brands)


@pytest.mark.parametrize(("flags", "checks"), [((), 20), (("--codes",), 13)])
def test_the_example_brand_conforms(house: House, flags: tuple[str, ...], checks: int) -> None:
    journal = house.brands.folder / f"conforming{len(flags)}.db"
    enrol(journal, "B-77")
    with serving(house.brands.profile("borealis"), journal, *flags) as brand:
        code, document = house.checked(brand.address, *flags)
    assert (code, document["passed"]) == (0, True)
    assert len(document["checks"]) == checks


def test_a_brand_over_https_conforms(house: House) -> None:
    receipts = load_signers(house.data_dir / "keys")[Purpose.RECEIPTS][0]
    profile, journal = house.brands.profile("airline"), house.brands.folder / "airline.db"
    exchange, own = house.brands.folder / "receipts.pem", house.brands.folder / "airline.pub.pem"
    write_public_key(exchange, receipts.public_key)
    write_public_key(own, house.brands.orders_key("airline").public_key)
    enrol(journal, MEMBER, script=EXAMPLE)
    flags = ("--exchange-key", str(exchange), "--program", PROGRAM)
    with serving(profile, journal, *flags, script=EXAMPLE) as brand:
        code, document = house.check(
            f"https://{brand.address}",
            *("--program", PROGRAM, "--member", MEMBER, "--unknown-member", "nobody"),
            *("--orders-key", own),
            partner="airline",
        )
    assert (code, document["passed"]) == (0, True)


def test_a_brand_that_signs_with_another_key_does_not(house: House) -> None:
    journal = house.brands.folder / "faulty.db"
    enrol(journal, "B-77")
    misbehave(journal, "strangers-key")
    with serving(house.brands.profile("borealis"), journal, script=FAULTY_BRAND) as brand:
        code, document = house.checked(brand.address)
    faults = {each["name"]: each["fault"] for each in document["checks"]}
    assert code == 1
    assert not faults["validating a member only reads"]
    assert "KEY_UNKNOWN" in faults["a credit gives exactly what was asked for"]


def test_where_nobody_answers_no_check_is_passed(house: House) -> None:
    code, document = house.checked("localhost:1")
    assert (code, document["passed"]) == (1, False)
    assert all("UNREACHABLE" in each["fault"] for each in document["checks"])


@pytest.mark.parametrize("address", ["borealis", "http://borealis.example", "https://"])
def test_an_address_that_is_none_is_refused_by_name(house: House, address: str) -> None:
    code, document = house.checked(address)
    assert (code, document["error"]["field"]) == (1, "address")


def test_without_a_certificate_for_calls_the_command_says_what_is_missing(house: House) -> None:
    with folder() as path:
        done = pointclear(
            *("conformance", "localhost:1", "--partner", "borealis", "--member", "B-77"),
            *("--orders-key", house.brands.folder / "borealis.pub.pem", "--data-dir", path),
        )
        assert done.returncode == 3
        assert "deployment.json is missing" in done.stderr
        (path / "deployment.json").write_text(json.dumps({"audience": AUDIENCE}))
        done = pointclear(
            *("conformance", "localhost:1", "--partner", "borealis", "--member", "B-77"),
            *("--orders-key", house.brands.folder / "borealis.pub.pem", "--data-dir", path),
        )
    assert done.returncode == 3
    assert "calling-tls.pem is missing" in done.stderr
    assert "pointclear://exchange/" in done.stderr


# Fulfilments


@dataclass(frozen=True)
class Sealed:
    """A fulfilment that came to aurora."""

    profile: Path
    transfer_id: UUID
    file: Path

    def opened(self, *more: str | Path, transfer: UUID | None = None) -> tuple[int, str]:
        """The exit code, and what was printed."""
        arguments = ("--as", self.profile, "--transfer", str(transfer or self.transfer_id))
        done = pointclear("fulfilment", "open", self.file, *arguments, *more)
        return done.returncode, done.stdout + done.stderr


def sealed_for(profile: Path, signer: FileSigner) -> Sealed:
    transfer_id = UUID(bytes=uuid_utils.uuid7().bytes)
    file = profile / f"{transfer_id}.txt"
    content = seal(CODE, signer.public_key, AUDIENCE, transfer_id)
    file.write_bytes(base64.encodebytes(content))
    return Sealed(profile, transfer_id, file)


@pytest.fixture
def sealed(house: House) -> Sealed:
    profile = house.brands.profile("aurora")
    return sealed_for(profile, load_profile(profile).signer(Purpose.ORDERS))


def test_the_source_opens_what_was_sealed_for_it(sealed: Sealed) -> None:
    assert sealed.opened() == (0, f"{CODE.decode()}\n")
    code, printed = sealed.opened("--json")
    document = json.loads(printed)
    assert (code, base64.b64decode(document["base64"])) == (0, CODE)


def test_what_is_written_to_a_file_is_for_its_owner_and_not_printed(sealed: Sealed) -> None:
    out = sealed.file.with_suffix(".code")
    code, printed = sealed.opened("--out", out)
    assert code == 0
    assert CODE.decode() not in printed
    assert out.read_bytes() == CODE
    assert stat.S_IMODE(out.stat().st_mode) == 0o600


def test_it_does_not_open_for_another_transfer_or_brand(house: House, sealed: Sealed) -> None:
    code, printed = sealed.opened(transfer=UUID(bytes=uuid_utils.uuid7().bytes))
    assert (code, "FIELD_INVALID (fulfilment)" in printed) == (1, True)
    other = Sealed(house.brands.profile("borealis"), sealed.transfer_id, sealed.file)
    code, printed = other.opened()
    assert (code, "--key" in printed) == (1, True)


def test_it_opens_with_a_key_that_is_no_longer_in_use(house: House) -> None:
    profile = house.brands.profile("cinema")
    keys = KeyFolder.of_profile(profile)
    sealed = sealed_for(profile, keys.signer(keys.in_use(Purpose.ORDERS)))
    keys.signer(keys.following(Purpose.ORDERS))
    keys.take_into_use(Purpose.ORDERS)
    assert sealed.opened() == (0, f"{CODE.decode()}\n")


def test_what_is_no_base64_is_refused(sealed: Sealed) -> None:
    sealed.file.write_text("no base64!")
    code, printed = sealed.opened()
    assert (code, "base64" in printed) == (1, True)
