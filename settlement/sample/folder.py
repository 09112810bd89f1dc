"""A sample as files: what every partner holds, the newcomer's own files, the bank's, and a page
that says what is planted where. Pure: the same newcomer and seed give the same bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from exchange.seal import StreamEntry
from exchange.signing import PAPERS
from partners.envelope import SETTLEMENT_STATEMENT, sign, to_json
from partners.key_events import EXCHANGE
from partners.keys import Purpose, VerifyKey
from partners.points import currency_scale
from settlement.lines.line_file import write_line_file
from settlement.sample.coalition import Coalition
from settlement.sample.history import DAYS, live
from settlement.sample.own_file import Planted, own_days, write_own_file
from settlement.sample.page import page
from settlement.sample.seed import Seed
from settlement.sample.stating import Stated, state
from settlement.sample.wire import Brand
from settlement.wire import statement_payload


@dataclass(frozen=True, slots=True)
class Sample:
    """All of it."""

    files: Mapping[str, bytes]
    """By path in the folder; the exchange's public keys are not among them."""
    keys: Mapping[Purpose, VerifyKey]
    """The sample exchange's, by purpose."""
    planted: tuple[Planted, ...]


def sample(audience: str, own: Brand, currency: str, seed: int) -> Sample:
    """The folder of a newcomer."""
    coalition = Coalition(audience, currency_scale(currency), own, Seed(seed))
    history = live(coalition)
    first = history.settled.stated
    carried = {each.partner.partner_id: each.statement.carried_forward for each in first}
    window = history.ledger.window(history.window_ids[-1])
    second = state(history.ledger, coalition, window, carried)
    members = {
        wish.transfer_id: (
            wish.source_member if wish.corridor.source == own else wish.target_member
        )
        for wish in history.wishes
    }
    own_first, own_second = (
        next(each for each in stated if each.partner.partner_id == own.partner_id)
        for stated in (first, second)
    )
    days = own_days(coalition.seed, own_first.lines.lines, own_second.lines.lines, members)
    files = papers(coalition, (*first, *second))
    for partner in history.ledger.state.registry.partners.values():
        stream = history.ledger.streams.get(partner.number, [])
        files[f"{partner.partner_id}/receipts.jsonl"] = stream_file(coalition, stream)
    for day, window_id, rows in zip(DAYS, history.window_ids, days.days, strict=True):
        files[f"{own.partner_id}/{window_id}.own.csv"] = write_own_file(day, rows)
    files |= {f"bank/{name}": content for name, content in history.settled.bank_files.items()}
    files["README.md"] = page(coalition, history.window_ids, days.planted).encode()
    keys = {
        purpose: VerifyKey.of(coalition.seed.signer(EXCHANGE, purpose).public_key)
        for purpose in (Purpose.RECEIPTS, Purpose.STATEMENTS)
    }
    return Sample(files, keys, days.planted)


def papers(coalition: Coalition, stated: tuple[Stated, ...]) -> dict[str, bytes]:
    """Signed statements and their line files, as partners fetch them."""
    signer = coalition.seed.signer(EXCHANGE, Purpose.STATEMENTS)
    files = {}
    for each in stated:
        name = f"{each.partner.partner_id}/{each.statement.window_id}"
        envelope = sign(signer, SETTLEMENT_STATEMENT, statement_payload(each.statement))
        files[f"{name}.statement.json"] = (to_json(envelope) + "\n").encode()
        files[f"{name}.lines.csv"] = write_line_file(each.lines)
    return files


def stream_file(coalition: Coalition, entries: list[StreamEntry]) -> bytes:
    """A partner's stream, one envelope a line."""
    signer = coalition.seed.signer(EXCHANGE, Purpose.RECEIPTS)
    envelopes = (sign(signer, PAPERS[each.kind][0], each.payload) for each in entries)
    return "".join(f"{to_json(each)}\n" for each in envelopes).encode()
