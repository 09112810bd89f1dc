"""The signature file beside a result file: what makes each of its lines evidence. Pure.

`<file id>.results.csv.dsse.json` is a DSSE envelope in its JSON form, with one signature by the
brand's key for orders. What it says is described with the evidence that it leaves, in
`partners.confirmations.file_evidence`.
"""

from datetime import datetime
from typing import Final

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.results import ResultFile
from partners import envelope as dsse
from partners.confirmations.confirmation import NoAnswer
from partners.confirmations.file_evidence import (
    RESULT_FILE,
    FileSeal,
    file_evidence,
    seal_from_payload,
    seal_payload,
)
from partners.confirmations.verification import KeyOf, key_in_force
from partners.errors import Refused
from partners.keys import Signer, VerifyKey
from partners.merkle import inclusion_proofs, leaf_hash, root_of
from partners.program_port import Evidence

SIGNATURE_SUFFIX: Final = ".dsse.json"
BYTES_MAX: Final = dsse.JSON_CHARS_MAX


def sign_results(signer: Signer, file: ResultFile) -> bytes:
    """The signature file of a result file."""
    return dsse.to_json(dsse.sign(signer, RESULT_FILE, seal_payload(_seal(file)))).encode()


def verify_results(
    signature_file: bytes, file: ResultFile, key_of: KeyOf, now: datetime
) -> tuple[Evidence, ...]:
    """The evidence of each line of a result file; raises FileRefused(SIGNATURE_WRONG)."""
    try:
        envelope = dsse.from_json(signature_file.decode())
        dsse.require_type(envelope, RESULT_FILE)
    except UnicodeDecodeError:
        raise _wrong("", "the signature file is not UTF-8") from None
    except Refused as refusal:
        raise _wrong(refusal.field, refusal.text) from None
    if len(envelope.signatures) != 1:
        raise _wrong("signatures", "a result file has one signature")
    try:
        key = key_in_force(envelope.signatures[0].key_id, file.name.partner_id, key_of, now)
        dsse.verify(envelope, {key.key_id: VerifyKey(key.key_id, key.public_key)})
        seal = seal_from_payload(envelope.payload)
    except (NoAnswer, Refused) as wrong:
        raise _wrong(wrong.field, wrong.text) from None
    if seal != _seal(file):
        raise _wrong("payload", "it was made for another file")
    proofs = inclusion_proofs(_leaves(file))
    return tuple(
        file_evidence(envelope, line.row, index, proof)
        for index, (line, proof) in enumerate(zip(file.lines, proofs, strict=True))
    )


def _seal(file: ResultFile) -> FileSeal:
    return FileSeal(
        file.name.audience,
        file.name.partner_id,
        file.name.program,
        file.file_id,
        len(file.lines),
        root_of(_leaves(file)),
    )


def _leaves(file: ResultFile) -> list[bytes]:
    return [leaf_hash(line.row) for line in file.lines]


def _wrong(field: str, text: str) -> FileRefused:
    return FileRefused(FileFault.SIGNATURE_WRONG, text, field=field)
