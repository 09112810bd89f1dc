"""Who waits on a stream is woken by one query for all, and nobody is asked while nobody waits."""

import asyncio
from collections.abc import Mapping, Sequence

import pytest

from exchange.watching.ends import StreamEnds

POLL_S = 0.01
LONG_S = 60.0


class Streams:
    """Streams whose ends a test sets, and how often they were asked for."""

    def __init__(self) -> None:
        self.ends: dict[str, int] = {}
        self.asked: list[list[str]] = []
        self.broken: Exception | None = None

    def read(self, partner_ids: Sequence[str]) -> Mapping[str, int]:
        self.asked.append(list(partner_ids))
        if self.broken is not None:
            raise self.broken
        return {name: self.ends[name] for name in partner_ids if name in self.ends}


def test_each_waits_until_its_own_stream_goes_on_and_one_query_serves_all() -> None:
    streams = Streams()

    async def run() -> None:
        ends = StreamEnds(streams.read, POLL_S)
        streams.ends = {"aurora": 4, "borealis": 9}
        waiting = [
            asyncio.create_task(ends.beyond(name, seq, LONG_S))
            for name, seq in (("aurora", 4), ("borealis", 9), ("borealis", 10), ("cirrus", 0))
        ]
        done, pending = await asyncio.wait(waiting, timeout=5 * POLL_S)
        assert (len(done), len(pending)) == (0, 4)
        streams.ends["borealis"] = 10
        assert await waiting[1]
        assert not waiting[2].done()
        streams.ends |= {"aurora": 5, "borealis": 11, "cirrus": 1}
        assert all(await asyncio.gather(*waiting))

    asyncio.run(run())
    assert ["aurora", "borealis", "cirrus"] in streams.asked


def test_a_stream_that_does_not_go_on_is_told_by_the_time() -> None:
    streams = Streams()
    assert not asyncio.run(StreamEnds(streams.read, POLL_S).beyond("aurora", 0, 3 * POLL_S))


def test_nothing_is_asked_while_nobody_waits() -> None:
    streams = Streams()

    async def run() -> int:
        ends = StreamEnds(streams.read, POLL_S)
        assert not await ends.beyond("aurora", 0, POLL_S)
        await asyncio.sleep(3 * POLL_S)
        asked = len(streams.asked)
        await asyncio.sleep(10 * POLL_S)
        assert len(streams.asked) == asked
        # And whoever waits then is served again.
        streams.ends["aurora"] = 1
        assert await ends.beyond("aurora", 0, LONG_S)
        return asked

    assert asyncio.run(run()) >= 1


def test_whoever_waits_learns_that_the_streams_cannot_be_read() -> None:
    streams = Streams()
    streams.broken = ConnectionError("gone")

    async def run() -> None:
        ends = StreamEnds(streams.read, POLL_S)
        waiting = [ends.beyond(name, 0, LONG_S) for name in ("aurora", "borealis")]
        for each in await asyncio.gather(*waiting, return_exceptions=True):
            assert isinstance(each, ConnectionError)
        streams.broken = None
        streams.ends["aurora"] = 1
        assert await ends.beyond("aurora", 0, LONG_S)

    asyncio.run(run())


def test_all_who_wait_and_all_who_come_later_can_be_sent_away() -> None:
    async def run() -> None:
        ends = StreamEnds(Streams().read, POLL_S)
        waiting = asyncio.create_task(ends.beyond("aurora", 0, LONG_S))
        await asyncio.sleep(2 * POLL_S)
        ends.close(ValueError("stopping"))
        for each in (waiting, ends.beyond("aurora", 0, LONG_S)):
            with pytest.raises(ValueError, match="stopping"):
                await each

    asyncio.run(run())
