"""Answers at a fixed time after the question, so that how long it took to find them tells nothing.

The time is the event loop's clock. The answer is given by a call that is scheduled before the work
begins; what is not there by then is not waited for.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

_T = TypeVar("_T")


async def at_tick(work: Coroutine[Any, Any, _T], after_s: float) -> _T:
    """What `work` came to, `after_s` seconds from now and neither sooner nor later. Raises what it
    raised, at that time too, and TimeoutError where it has not ended; it is cancelled then.
    """
    loop = asyncio.get_running_loop()
    tick = asyncio.Event()
    timer = loop.call_at(loop.time() + after_s, tick.set)
    task = loop.create_task(work)
    try:
        await tick.wait()
        if not task.done():
            raise TimeoutError("the work has not ended by its tick")
        return task.result()
    finally:
        timer.cancel()
        if not task.cancel() and not task.cancelled():
            # Looked at, so that nobody reports an exception which no caller was left to hear.
            task.exception()
