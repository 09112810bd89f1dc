"""Whether signed bytes are what they claim to be: keys, envelopes, payloads. Bytes in, faults out.

Pure: no file, no network, no clock; so are `stream`, `line_file` and `statement`,
which build on this. The rules of this module:

- Bytes are verified as they came, and only then parsed; nothing is serialised again to check.
- A key's id must be its own, so that no other key can be put under it unseen.
- A signature counts if its key is in the given key set, is held by the exchange (an order's by the
  partner that it names) and is registered for the purpose that the payload type calls for.
- What the exchange signs bears exactly one signature, by the key that the payload names.
- What was recorded at or after a key's revocation may not rest on it; what was recorded before may,
  for ever. The log index decides, never a time that is stated.
- A payload holds no field that this version does not know.
- A fault is a value: it names its place, what is wrong and, where there is something to compare,
  what was expected and what was found. One bad entry does not hide another's faults.

Source: protocol.md (Envelope, Keys).
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from partners import envelope as envelopes
from partners.envelope import (
    CREDIT_NOTICE,
    FUNDING_NOTICE,
    REVERSAL_NOTICE,
    REVERSAL_ORDER,
    SETTLEMENT_STATEMENT,
    TRANSFER_ORDER,
    TRANSFER_RECEIPT,
)
from partners.errors import PointclearError, Refused
from partners.keys import Purpose, VerifyKey
from pointclear.exchange.v1.transfer_pb2 import ReversalOrder, TransferOrder

EXCHANGE: Final = "exchange"

_Message = TypeVar("_Message", bound=Message)

_PURPOSES: Final = {
    TRANSFER_ORDER: Purpose.ORDERS,
    REVERSAL_ORDER: Purpose.ORDERS,
    TRANSFER_RECEIPT: Purpose.RECEIPTS,
    CREDIT_NOTICE: Purpose.RECEIPTS,
    FUNDING_NOTICE: Purpose.RECEIPTS,
    REVERSAL_NOTICE: Purpose.RECEIPTS,
    SETTLEMENT_STATEMENT: Purpose.STATEMENTS,
}
ORDERS: Final[Mapping[str, type[TransferOrder | ReversalOrder]]] = {
    TRANSFER_ORDER: TransferOrder,
    REVERSAL_ORDER: ReversalOrder,
}
"""What a partner signs with its key for orders."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that does not hold."""

    place: str
    """The file, and the line where it has lines: `grocery/receipts.jsonl:7`."""
    what: str
    expected: str = ""
    found: str = ""

    def __str__(self) -> str:
        """One line, whatever the text that it quotes."""
        beside = f": expected {self.expected}, found {self.found}" if self.expected else ""
        return " ".join(f"{self.place}: {self.what}{beside}".split())


class Broken(PointclearError):
    """Ends the reading of one thing, whose faults it carries."""

    def __init__(self, *faults: Fault) -> None:
        """Carry at least one fault."""
        super().__init__(*faults)
        self.faults = faults


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A public key that the verifying person trusts, and what for."""

    verify_key: VerifyKey
    holder: str
    """`exchange`, `partner/<id>` or `operator/<name>`."""
    purpose: Purpose
    registered_index: int | None = None
    """Log index of its registration, None where the key set does not say."""
    revoked_index: int | None = None
    """Log index of its revocation, None for a key that is not revoked."""

    @property
    def key_id(self) -> str:
        """Names the key."""
        return self.verify_key.key_id


KeySet = Mapping[str, KnownKey]
"""Known keys by key id."""


def compare(place: str, what: str, expected: object, found: object) -> Iterator[Fault]:
    """A fault, unless what was found is what was expected. Bytes are shown in hex."""
    if expected != found:
        shown = [each.hex() if isinstance(each, bytes) else str(each) for each in (expected, found)]
        yield Fault(place, what, *(each or "nothing" for each in shown))


# Keys and envelopes


def read_keys(place: str, content: bytes) -> dict[str, KnownKey]:
    """The key set in a `keys.json`: a list of objects, of which six members are read.

    They are `key_id`, `holder`, `purpose` and `public_key_pem`, and where they are there
    `registered_index` and `revoked_index`. Raises Broken.
    """
    try:
        rows = json.loads(content)
        keys = [_known_key(row) for row in rows]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Broken(Fault(place, f"is no list of public keys ({error!r})")) from None
    known = {key.verify_key.key_id: key for key in keys}
    if len(known) < len(keys):
        raise Broken(Fault(place, "names one key twice"))
    return known


def _known_key(row: Mapping[str, Any]) -> KnownKey:
    # The id must be the key's own, or a swapped key would go unseen.
    verify_key = VerifyKey(row["key_id"], public_key_of(row["public_key_pem"].encode()))
    return KnownKey(
        verify_key,
        row["holder"],
        Purpose(row["purpose"]),
        _index(row, "registered_index"),
        _index(row, "revoked_index"),
    )


def _index(row: Mapping[str, Any], name: str) -> int | None:
    value = row.get(name)
    if value is not None and type(value) is not int:
        raise TypeError(f"{name} is no log index")
    return value


def check_force(place: str, key: KnownKey, log_index: int) -> Iterator[Fault]:
    """A fault, unless what was recorded at `log_index` may rest on this key.

    The index decides: no time in a payload makes it older than it is.
    """
    if key.registered_index is not None and log_index <= key.registered_index:
        what = f"log index, key {key.key_id} being registered at {key.registered_index}"
        yield Fault(place, what, f"more than {key.registered_index}", str(log_index))
    if key.revoked_index is not None and log_index >= key.revoked_index:
        what = f"log index, key {key.key_id} being revoked at {key.revoked_index}"
        yield Fault(place, what, f"less than {key.revoked_index}", str(log_index))


def public_key_of(pem: bytes) -> bytes:
    """The raw 32 bytes of an Ed25519 public key in PEM. Raises ValueError for anything else."""
    try:
        public_key = load_pem_public_key(pem)
    except UnsupportedAlgorithm as error:
        raise ValueError(str(error)) from None
    if not isinstance(public_key, Ed25519PublicKey):
        raise ValueError("this is not an Ed25519 key")
    return public_key.public_bytes_raw()


def open_envelope(place: str, text: str, keys: KeySet, *payload_types: str) -> envelopes.Envelope:
    """The envelope in DSSE's JSON form, its one signature verified. Raises Broken.

    `payload_types` are those that may stand here; none means any that can be verified.
    """
    try:
        envelope = envelopes.from_json(text)
        allowed = payload_types or tuple(_PURPOSES)
        if envelope.payload_type not in allowed:
            wanted = " or ".join(allowed)
            raise Broken(Fault(place, "wrong payload type", wanted, envelope.payload_type))
        envelopes.verify(
            envelope, {key_id: key.verify_key for key_id, key in _named(envelope, keys)}
        )
    except Refused as refused:
        raise Broken(Fault(place, str(refused))) from None
    faults = [*compare(place, "number of signatures", 1, len(envelope.signatures))]
    for key_id, key in _named(envelope, keys):
        purpose = _PURPOSES[envelope.payload_type]
        faults += compare(place, f"purpose of key {key_id}", purpose, key.purpose)
        if envelope.payload_type not in ORDERS:
            faults += compare(place, f"holder of key {key_id}", EXCHANGE, key.holder)
    if faults:
        raise Broken(*faults)
    return envelope


def _named(envelope: envelopes.Envelope, keys: KeySet) -> Iterator[tuple[str, KnownKey]]:
    """The known keys that an envelope names: looked up, never searched for one that fits."""
    for signature in envelope.signatures:
        if signature.key_id in keys:
            yield signature.key_id, keys[signature.key_id]


def parse(place: str, what: str, kind: type[_Message], content: bytes) -> _Message:
    """The message in verified bytes, all of whose fields this version knows. Raises Broken."""
    message = kind()
    try:
        message.ParseFromString(content)
    except DecodeError:
        raise Broken(Fault(place, f"the {what} is no {kind.DESCRIPTOR.name}")) from None
    if _holds_unknown(message):
        raise Broken(Fault(place, f"the {what} holds a field that this version does not know"))
    return message


def _holds_unknown(message: Message) -> bool:
    if len(UnknownFieldSet(message)):
        return True
    for field, value in message.ListFields():
        if field.message_type is not None:
            nested = value if field.is_repeated else (value,)
            if any(_holds_unknown(each) for each in nested):
                return True
    return False


def check_order(place: str, text: str, keys: KeySet) -> KnownKey:
    """An order to transfer or to reverse: the key of the partner that it names, who signed it.

    Raises Broken.
    """
    envelope = open_envelope(place, text, keys, *ORDERS)
    kind: type[TransferOrder | ReversalOrder] = ORDERS[envelope.payload_type]
    order = parse(place, "order", kind, envelope.payload)
    signer = keys[envelope.signatures[0].key_id]
    faults = tuple(
        compare(place, "holder of the order's key", f"partner/{order.partner_id}", signer.holder)
    )
    if faults:
        raise Broken(*faults)
    return signer
