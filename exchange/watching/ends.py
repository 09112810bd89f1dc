"""How far the streams have come on which somebody waits.

Whichever server process committed an entry, it is in the database, so that is asked: one query for
all who wait here, a few times a second, and none while nobody waits. What it finds wakes those
whom it concerns. Every method is called on the loop's thread.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

POLL_S = 0.2

Ends = Callable[[Sequence[str]], Mapping[str, int]]


@dataclass(frozen=True, slots=True, eq=False)
class _Waiting:
    partner_id: str
    stream_seq: int
    woken: "asyncio.Future[None]"


class StreamEnds:
    """Wakes those who wait for a stream to go on."""

    def __init__(self, read: Ends, poll_s: float = POLL_S) -> None:
        """`read` gives the newest positions of some partners' streams; it may block."""
        self._read = read
        self._poll_s = poll_s
        self._waiting: set[_Waiting] = set()
        self._polling: asyncio.Task[None] | None = None
        self._closed: Exception | None = None

    async def beyond(self, partner_id: str, stream_seq: int, timeout_s: float) -> bool:
        """Wait until a stream has gone beyond a position: whether it has within the time.

        Raises what the query raised, or what `close` was given.
        """
        if self._closed is not None:
            raise self._closed
        waiting = _Waiting(partner_id, stream_seq, asyncio.get_running_loop().create_future())
        self._waiting.add(waiting)
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), name="stream-ends")
        try:
            await asyncio.wait_for(waiting.woken, timeout_s)
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiting)
        return True

    def close(self, error: Exception) -> None:
        """Raise this in all who wait, and in whoever comes to wait: some are just between two."""
        self._closed = error
        self._fail(error)

    def _fail(self, error: Exception) -> None:
        for each in self._waiting:
            if not each.woken.done():
                each.woken.set_exception(error)

    async def _poll(self) -> None:
        while self._waiting:
            try:
                ends = await asyncio.to_thread(
                    self._read, sorted({each.partner_id for each in self._waiting})
                )
            except Exception as error:
                # Each of them ends with it; whoever waits again has it asked again.
                self._fail(error)
                return
            for each in self._waiting:
                if ends.get(each.partner_id, 0) > each.stream_seq and not each.woken.done():
                    each.woken.set_result(None)
            await asyncio.sleep(self._poll_s)
