"""The signature file beside a result file: what makes each of its lines evidence. Pure.

`<file id>.results.csv.dsse.json` is a DSSE envelope in its JSON form, signed by the brand's key for
orders. Its payload is JSON, so that a brand needs no protobuf, with exactly these names:

    {"audience": …, "partner": …, "program": …, "file": "<file id>", "rows": <LINE rows>,
     "sha256": "<of the result file's bytes, in hex>"}

The payload is the evidence of every line. Whoever is shown it needs the result file as well, which
is kept: `proven_line` says what the brand signed for an instruction.
"""

import hashlib
import json
from datetime import datetime
from typing import Final
from uuid import UUID

from adapters.file_program.faults import FileFault, FileRefused
from adapters.file_program.results import ResultFile, ResultLine, parse_results
from partners import envelope as dsse
from partners.confirmations.confirmation import NoAnswer
from partners.confirmations.verification import KeyOf, envelope_of, evidence_of, key_in_force
from partners.errors import Refused
from partners.keys import Signer, VerifyKey
from partners.program_port import Evidence, InstructionKind

SIGNATURE_SUFFIX: Final = ".dsse.json"
RESULT_FILE: Final = "application/vnd.pointclear.result-file.v1+json"
BYTES_MAX: Final = dsse.JSON_CHARS_MAX


def sign_results(signer: Signer, file: ResultFile, content: bytes) -> bytes:
    """The signature file of a result file, whose bytes are `content`."""
    return dsse.to_json(dsse.sign(signer, RESULT_FILE, _payload(file, content))).encode()


def verify_results(
    signature_file: bytes, file: ResultFile, content: bytes, key_of: KeyOf, now: datetime
) -> Evidence:
    """What stands for each line of a result file; raises FileRefused(SIGNATURE_WRONG)."""
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
    except (NoAnswer, Refused) as wrong:
        raise _wrong(wrong.field, wrong.text) from None
    if _members(envelope.payload) != _members(_payload(file, content)):
        raise _wrong("payload", "it was made for another file")
    return evidence_of(envelope)


def proven_line(
    evidence: Evidence, key: VerifyKey, content: bytes, instruction_id: UUID, kind: InstructionKind
) -> ResultLine:
    """The line with which a brand answered an instruction, held to evidence and file.

    Raises Refused where the signature does not fit, FileRefused where the file is not the one that
    was signed, or holds no such line.
    """
    envelope = envelope_of(evidence)
    dsse.require_type(envelope, RESULT_FILE)
    dsse.verify(envelope, {key.key_id: key})
    file = parse_results(content)
    if _members(evidence.content) != _members(_payload(file, content)):
        raise _wrong("payload", "it was made for another file")
    for line in file.lines:
        if (line.instruction_id, line.kind) == (instruction_id, kind):
            return line
    raise FileRefused(FileFault.INSTRUCTION_UNKNOWN, "the file does not answer it")


def _payload(file: ResultFile, content: bytes) -> bytes:
    members = {
        "audience": file.name.audience,
        "partner": file.name.partner_id,
        "program": file.name.program,
        "file": file.file_id,
        "rows": len(file.lines),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    return json.dumps(members, separators=(",", ":")).encode()


def _members(payload: bytes) -> object:
    """The payload's names and values; a name that occurs twice makes it nobody's."""
    try:
        pairs: object = json.loads(payload, object_pairs_hook=sorted)
    except (ValueError, RecursionError, TypeError):
        raise _wrong("payload", "it is not JSON") from None
    return pairs


def _wrong(field: str, text: str) -> FileRefused:
    return FileRefused(FileFault.SIGNATURE_WRONG, text, field=field)
