"""A partner's profile and keys: signed by both, sent again as the same bytes, resumed after any
interruption.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange.cli.deployment.initialise import initialise, load_authority
from exchange.cli.files import FileError
from exchange.cli.keys.key_events import NewKey
from exchange.cli.keys.key_rotation import KeyFolder, event_path_of
from exchange.cli.partners.onboarding import (
    make_partner_profile,
    new_key,
)
from exchange.cli.profile import key_path, load_profile
from partners.envelope import KEY_EVENT, require_signers, require_type, verify
from partners.errors import Reason, Refused
from partners.keys import Purpose, SeedSigner, VerifyKey
from partners.wire import parse_strictly, purpose_from_proto, time_from_proto
from pointclear.partners.v1.key_pb2 import KeyEvent

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AUDIENCE = "pointclear.test/unit"
REGISTRAR = SeedSigner(bytes(range(32)))


@pytest.fixture
def out(tmp_path: Path) -> Path:
    initialise(tmp_path / "data", AUDIENCE, "localhost:7443", NOW)
    complete(tmp_path / "grocery", tmp_path / "data")
    return tmp_path / "grocery"


def complete(out: Path, data_dir: Path, partner_id: str = "grocery") -> None:
    make_partner_profile(out, load_authority(data_dir), partner_id, "localhost:7443", AUDIENCE, NOW)


def key_for(path: Path, now: datetime = NOW) -> NewKey:
    return new_key(path, Purpose.ORDERS, "grocery", AUDIENCE, lambda: REGISTRAR, now)


def test_a_key_event_is_signed_by_the_new_key_and_by_its_registrar(out: Path) -> None:
    key = key_for(key_path(out, Purpose.ORDERS))
    require_type(key.event, KEY_EVENT)
    require_signers(key.event, [key.signer.key_id, REGISTRAR.key_id])
    keys = [VerifyKey.of(each.public_key) for each in (key.signer, REGISTRAR)]
    verify(key.event, {each.key_id: each for each in keys})
    event = parse_strictly(KeyEvent(), key.event.payload)
    assert (event.audience, event.partner_id) == (AUDIENCE, "grocery")
    assert purpose_from_proto(event.purpose, "") is Purpose.ORDERS
    assert event.public_key == key.signer.public_key
    assert time_from_proto(event.valid_from, "") < NOW < time_from_proto(event.valid_until, "")


def test_a_repeat_sends_the_same_bytes_whatever_the_time_and_asks_no_registrar(out: Path) -> None:
    path = key_path(out, Purpose.ORDERS)
    first = key_for(path)

    def nobody() -> SeedSigner:
        raise AssertionError("the registrar was asked again")

    again = new_key(path, Purpose.ORDERS, "grocery", AUDIENCE, nobody, NOW + timedelta(hours=1))
    assert again.event == first.event


def test_an_event_that_belongs_to_another_key_or_is_damaged_is_refused(out: Path) -> None:
    orders, agreements = (key_path(out, each) for each in (Purpose.ORDERS, Purpose.AGREEMENTS))
    key_for(orders)
    event_path_of(orders).rename(event_path_of(agreements))
    with pytest.raises(FileError, match="another key's event"):
        key_for(agreements)
    event_path_of(agreements).write_text("{}")
    with pytest.raises(FileError, match="no key event"):
        key_for(agreements)


def test_a_profile_is_completed_and_never_made_over(out: Path, tmp_path: Path) -> None:
    before = load_profile(out)
    ids = [before.signer(each).key_id for each in (Purpose.ORDERS, Purpose.STATEMENTS)]
    (out / "profile.json").unlink()
    (out / "keys" / "statements.pem").unlink()
    complete(out, tmp_path / "data")
    after = load_profile(out)
    assert after.tls_key == before.tls_key
    assert after.signer(Purpose.ORDERS).key_id == ids[0]
    assert after.signer(Purpose.STATEMENTS).key_id != ids[1]


def test_a_directory_of_another_partner_is_refused(out: Path, tmp_path: Path) -> None:
    with pytest.raises(Refused) as refusal:
        complete(out, tmp_path / "data", "fuel")
    assert refusal.value.reason is Reason.ALREADY_EXISTS
    assert load_profile(out).identity == "pointclear://partner/grocery"


def test_a_new_key_takes_the_place_of_the_old_which_is_kept_under_its_id(out: Path) -> None:
    old = load_profile(out).signer(Purpose.ORDERS)
    following = key_for(KeyFolder.of_profile(out).following(Purpose.ORDERS))
    assert load_profile(out).signer(Purpose.ORDERS).key_id == old.key_id
    KeyFolder.of_profile(out).take_into_use(Purpose.ORDERS)
    assert load_profile(out).signer(Purpose.ORDERS).key_id == following.signer.key_id
    assert (out / "keys" / f"orders.{old.key_id}.pem").exists()
    assert event_path_of(key_path(out, Purpose.ORDERS)).exists()
    assert not KeyFolder.of_profile(out).following(Purpose.ORDERS).exists()


@pytest.mark.parametrize("renames", [0, 1, 2, 3, 4])
def test_a_rotation_that_crashed_anywhere_ends_with_the_same_key_in_use(
    out: Path, monkeypatch: pytest.MonkeyPatch, renames: int
) -> None:
    key_for(key_path(out, Purpose.ORDERS))
    key = key_for(KeyFolder.of_profile(out).following(Purpose.ORDERS))
    rename, left = Path.rename, renames

    def crash_after_some(self: Path, target: Path) -> Path:
        nonlocal left
        if not left:
            raise KeyboardInterrupt
        left -= 1
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", crash_after_some)
        if renames < 4:
            with pytest.raises(KeyboardInterrupt):
                KeyFolder.of_profile(out).take_into_use(Purpose.ORDERS)
        else:
            KeyFolder.of_profile(out).take_into_use(Purpose.ORDERS)

    KeyFolder.of_profile(out).finish_earlier_rotation(Purpose.ORDERS)
    if KeyFolder.of_profile(out).following(Purpose.ORDERS).exists():
        assert key_for(KeyFolder.of_profile(out).following(Purpose.ORDERS)).event == key.event
        KeyFolder.of_profile(out).take_into_use(Purpose.ORDERS)
    in_use = key_path(out, Purpose.ORDERS)
    assert load_profile(out).signer(Purpose.ORDERS).key_id == key.signer.key_id
    assert key_for(in_use).event == key.event
    assert not event_path_of(KeyFolder.of_profile(out).following(Purpose.ORDERS)).exists()
