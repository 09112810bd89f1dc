"""What a partner's own client has shown of the scenarios, by what the sandbox recorded. Pure.

Each observer is handed all that was seen so far and says how its scenario ended, or None as long as
nothing tells. Only the partner's own orders count: what came to it others sent.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from uuid import UUID

from exchange.cli.certification.outcome import Outcome
from exchange.cli.proofs import Proof
from partners.certification import WATCHED, ScenarioName, Verdict
from partners.errors import Reason
from pointclear.common.v1 import refusal_pb2
from pointclear.exchange.v1.transfer_pb2 import (
    TRANSFER_STATE_COMMITTED,
    TRANSFER_STATE_REFUSED,
    TransferReceipt,
    TransferRecord,
)

ONLY_RUN = "only `certify run` judges it"


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of a partner, all of it verified."""

    receipts: tuple[Proof, ...] = ()
    """Of its own orders, in the order of its stream, from where the watch counts."""
    lines: Mapping[str, bytes] = field(default_factory=dict)
    """The line files of its statements, by window."""
    entries: int = 0
    """How long the stream is that was verified as a chain, from its first entry."""

    @property
    def committed(self) -> tuple[Proof, ...]:
        """Receipts of what was carried out."""
        return tuple(
            each for each in self.receipts if each.record.state == TRANSFER_STATE_COMMITTED
        )

    def refused(self, reason: Reason) -> Iterator[Proof]:
        """Receipts of what was refused for a reason."""
        number = refusal_pb2.Reason.Value(f"REASON_{reason}")
        for each in self.receipts:
            if each.record.state == TRANSFER_STATE_REFUSED and each.record.reason == number:
                yield each


Ended = tuple[Verdict, str] | None
"""A verdict and one line for people; None while nothing tells."""
Observer = Callable[[Seen], Ended]


def is_own(proof: Proof) -> bool:
    """Whether this is the answer to an order of the partner's own."""
    return isinstance(proof.body, TransferReceipt)


def commits(seen: Seen) -> Ended:
    """An order was carried out."""
    for each in seen.committed:
        return Verdict.PASSED, f"COMMITTED at {each.body.stream_seq}"
    return None


def mends(seen: Seen) -> Ended:
    """A wrong amount was refused, and later as many points went the same way. The id is another by
    necessity: a refused one stays refused.
    """
    for wrong in seen.refused(Reason.AMOUNT_MISMATCH):
        for right in seen.committed:
            if _after(right, wrong) and _asked(right.transfer) == _asked(wrong.transfer):
                places = f"{wrong.body.stream_seq}, COMMITTED at {right.body.stream_seq}"
                return Verdict.PASSED, f"AMOUNT_MISMATCH at {places}"
    return None


def expires(seen: Seen) -> Ended:
    """An order came when its time was over."""
    for each in seen.refused(Reason.ORDER_EXPIRED):
        return Verdict.PASSED, f"ORDER_EXPIRED at {each.body.stream_seq}"
    return None


def quotes(seen: Seen) -> Ended:
    """A quote was carried out, and the next order at it refused."""
    for again in seen.refused(Reason.QUOTE_USED):
        for used in seen.committed:
            if _after(again, used) and used.transfer.quote_id == again.transfer.quote_id:
                places = f"{used.body.stream_seq}, QUOTE_USED at {again.body.stream_seq}"
                return Verdict.PASSED, f"COMMITTED at {places}"
    return None


def pages(seen: Seen) -> Ended:
    """The stream that the watch reads is a chain, or the watch would have ended."""
    return (Verdict.PASSED, f"verifies up to {seen.entries}") if seen.receipts else None


def settles(seen: Seen) -> Ended:
    """A statement counts what was carried out in its window. Statement and lines are verified."""
    for window_id, lines in seen.lines.items():
        counted = [
            UUID(bytes=each.record.transfer_id)
            for each in seen.committed
            if each.record.window_id == window_id
        ]
        missing = [str(each) for each in counted if str(each).encode() not in lines]
        if missing:
            return Verdict.FAILED, f"the lines of {window_id} lack {', '.join(missing[:3])}"
        if counted:
            return Verdict.PASSED, f"{window_id} counts {len(counted)}"
    return None


OBSERVERS: Mapping[ScenarioName, Observer] = MappingProxyType(
    {
        ScenarioName.COMMITS: commits,
        ScenarioName.MENDS: mends,
        ScenarioName.EXPIRES: expires,
        ScenarioName.QUOTES: quotes,
        ScenarioName.PAGES: pages,
        ScenarioName.SETTLES: settles,
    }
)


def outcomes_of(seen: Seen) -> dict[ScenarioName, Outcome]:
    """How the scenarios ended of which anything tells yet."""
    found = {name: observe(seen) for name, observe in OBSERVERS.items()}
    return {name: Outcome(name, *ended) for name, ended in found.items() if ended is not None}


def whole_list(seen: Mapping[ScenarioName, Outcome], waited: str) -> tuple[Outcome, ...]:
    """How every scenario of the list ended when the watch did. Nothing having been seen of one that
    a watch judges, it did not pass; `waited` says how long that took.
    """
    return tuple(
        seen.get(name, Outcome(name, Verdict.FAILED, f"not seen within {waited}"))
        if name in WATCHED
        else Outcome(name, Verdict.NOT_JUDGED, ONLY_RUN)
        for name in ScenarioName
    )


def _asked(record: TransferRecord) -> tuple[str, str, int]:
    return record.source_program, record.target_program, record.source_points


def _after(later: Proof, earlier: Proof) -> bool:
    return later.body.stream_seq > earlier.body.stream_seq
