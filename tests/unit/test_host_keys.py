"""The exchange's keys on its host: rotated, kept, vouched for, and refused when out of force."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange import server
from exchange.cli.deployment.initialise import initialise
from exchange.cli.keys.exchange_keys import EXCHANGE_PURPOSES, rotate_exchange_key
from exchange.errors import CannotStart
from exchange.host_keys import HostKeys, load_host_keys
from partners.envelope import verify
from partners.key_events import Registration
from partners.keys import Purpose, VerifyKey
from partners.registry import RegisteredKey
from partners.wire import key_event_from_payload

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
AUDIENCE = "pointclear.test/unit"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    initialise(tmp_path / "data", AUDIENCE, "localhost:7443", NOW)
    return tmp_path / "data"


def registered(keys: HostKeys) -> dict[str, RegisteredKey]:
    """The exchange's keys as the registry has them after a start."""
    commands = [key.command(AUDIENCE, NOW) for key in keys.public_keys]
    return {
        each.key_id: RegisteredKey(
            each.key_id,
            each.holder,
            Purpose(each.purpose),
            each.public_key,
            each.valid_from,
            each.valid_until,
            place,
        )
        for place, each in enumerate(commands)
    }


def test_after_rotations_the_newest_key_is_in_use_and_all_before_it_are_held(
    data_dir: Path,
) -> None:
    first = load_host_keys(data_dir).signers[Purpose.RECEIPTS].key_id
    made = [rotate_exchange_key(data_dir, Purpose.RECEIPTS, NOW).signer.key_id for _ in range(2)]
    keys = load_host_keys(data_dir)
    assert keys.signers[Purpose.RECEIPTS].key_id == made[-1]
    assert set(keys.signers.key_ids(Purpose.RECEIPTS)) == {first, *made}
    assert keys.signers.named(Purpose.RECEIPTS, first).key_id == first
    of_receipts = [each.key_id for each in keys.public_keys if each.purpose is Purpose.RECEIPTS]
    assert of_receipts[-1] == made[-1]


def test_a_servers_signers_find_a_key_that_another_took_into_use(data_dir: Path) -> None:
    keys = load_host_keys(data_dir)
    made = rotate_exchange_key(data_dir, Purpose.STATEMENTS, NOW).signer.key_id
    assert keys.signers.named(Purpose.STATEMENTS, made).key_id == made


def test_each_key_vouches_for_the_next_in_an_event_of_its_own(data_dir: Path) -> None:
    before = load_host_keys(data_dir).signers[Purpose.LOG].key_id
    made = rotate_exchange_key(data_dir, Purpose.LOG, NOW)
    by_id = {each.key_id: each for each in load_host_keys(data_dir).public_keys}
    event = by_id[made.signer.key_id].event
    assert event is not None
    assert [each.key_id for each in event.signatures] == [made.signer.key_id, before]
    verify(
        event, {key: VerifyKey.of(by_id[key].public_key) for key in (before, made.signer.key_id)}
    )
    asked = key_event_from_payload(event.payload, AUDIENCE)
    assert isinstance(asked, Registration)
    assert (asked.holder, asked.purpose) == ("exchange", Purpose.LOG)


def test_an_event_of_another_key_beside_a_key_is_refused(data_dir: Path) -> None:
    folder = data_dir / "keys"
    (folder / "log.event.json").write_bytes((folder / "receipts.event.json").read_bytes())
    wrong = next(e for e in load_host_keys(data_dir).public_keys if e.purpose is Purpose.LOG)
    with pytest.raises(CannotStart, match="is not its own"):
        wrong.command(AUDIENCE, NOW)
    (folder / "log.event.json").write_text("{}")
    with pytest.raises(CannotStart, match="is no key event"):
        load_host_keys(data_dir)


@pytest.mark.parametrize("purpose", EXCHANGE_PURPOSES)
def test_no_server_starts_with_a_key_in_use_that_is_not_in_force(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, purpose: Purpose
) -> None:
    monkeypatch.setattr(server, "now", lambda: NOW)
    keys = load_host_keys(data_dir)
    known = registered(keys)
    server.require_in_force(keys, known)
    key_id = keys.signers[purpose].key_id
    for change in (
        {"revoked_index": 9},
        {"valid_until": NOW},
        {"valid_from": NOW + timedelta(seconds=1)},
    ):
        spoilt = {**known, key_id: replace(known[key_id], **change)}
        with pytest.raises(CannotStart, match=f"key rotate --purpose {purpose.lower()}"):
            server.require_in_force(keys, spoilt)
