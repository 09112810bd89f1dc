"""One server process: what it needs from the host, the sequencer, and how they start and stop.

A graceful stop says that it is no longer ready, takes no new calls, lets those under way finish,
then lets the sequencer carry out what is queued, and leaves the database last.
"""

import asyncio
import gc
import json
import logging
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from exchange.batch import Ledger
from exchange.cli.keys.exchange_keys import EXCHANGE_PURPOSES
from exchange.commands import Command
from exchange.database import ensure_partitions
from exchange.errors import CannotStart
from exchange.fold import NO_LIMITS, Limits
from exchange.host_keys import HostKeys
from exchange.log.merkle import SALT_BYTES
from exchange.logs import named
from exchange.observer import UNOBSERVED, Observer
from exchange.outcomes import Result
from exchange.registry_view import RegistryView
from exchange.seal import Letterhead
from exchange.sequencer import BATCH_MAX, QUEUE_MAX, Sequencer
from partners.environment import Environment
from partners.errors import Refused
from partners.keys import Purpose
from partners.operators.commands import ChangeRoles
from partners.operators.roles import ALL_ROLES, Role
from partners.registry import RegisteredKey

log = logging.getLogger(__name__)

PARTITIONS_EVERY_S = 3600
PARTITIONS_AGAIN_S = 10
"""How soon after a failure."""
YOUNG_MAX = 5000
"""Objects that calls may leave before the garbage collector looks at them."""


def load_deployment(data_dir: Path) -> tuple[str, Environment]:
    """The audience and environment that this data directory was made for; raises CannotStart when
    it was not made.
    """
    path = data_dir / "deployment.json"
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        # One that was made before environments had a name was for development.
        environment = Environment(document.get("environment", Environment.DEVELOPMENT))
        return str(document["audience"]), environment
    except FileNotFoundError:
        raise CannotStart(
            f"{path} is missing", f"run `pointclear init --data-dir {data_dir}` first"
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise CannotStart(f"{path} is not readable", "restore it from a backup") from None


def check_four_eyes(four_eyes: bool, environment: Environment) -> None:
    """Raise CannotStart where one operator could do in production what takes two."""
    if not four_eyes and environment is Environment.PRODUCTION:
        raise CannotStart(
            "four_eyes is off, and this is a deployment for production",
            "set four_eyes to on: only development and sandboxes may do without",
        )


@dataclass(frozen=True, slots=True)
class Exchange:
    """The parts that services are built from, for one running process."""

    engine: Engine
    sequencer: Sequencer
    registry: RegistryView
    audience: str
    stored_from: datetime
    keys: HostKeys

    async def submit(self, command: Command) -> Result:
        """Have the sequencer carry a command out; a refusal is a result."""
        try:
            return (await self.sequencer.submit([command])[0]).result
        except Refused as refusal:
            return refusal

    async def carry_out(self, command: Command) -> None:
        """Have the sequencer carry a command out; raises the Refused that answers it."""
        result = await self.submit(command)
        if isinstance(result, Refused):
            raise result


def now() -> datetime:
    """The host's clock."""
    return datetime.now(UTC)


@asynccontextmanager
async def exchange(
    engine: Engine,
    keys: HostKeys,
    audience: str,
    stored_from: datetime,
    limits: Limits = NO_LIMITS,
    observer: Observer = UNOBSERVED,
    queue_max: int = QUEUE_MAX,
    batch_max: int = BATCH_MAX,
    vouched_roles: frozenset[Role] = ALL_ROLES,
) -> AsyncIterator[Exchange]:
    """The sequencer at work, with the host's own keys registered and its operators in
    `vouched_roles`; on leaving, what is queued is carried out first.
    """
    letterhead = Letterhead(audience, keys.signers.key_ids(Purpose.RECEIPTS))

    def renewed(spent: Letterhead) -> Letterhead:
        keys.signers.read_again()
        return replace(spent, receipts_key_ids=keys.signers.key_ids(Purpose.RECEIPTS))

    ledger = Ledger(
        engine, letterhead, now, lambda: secrets.token_bytes(SALT_BYTES), limits, observer, renewed
    )
    view = RegistryView(engine, ledger, audience)
    sequencer = Sequencer(ledger, keys.signers, asyncio.get_running_loop(), queue_max, batch_max)
    sequencer.start()
    opened = Exchange(engine, sequencer, view, audience, stored_from, keys)
    partitions = asyncio.create_task(keep_partitions(engine))
    try:
        await register_host_keys(opened, vouched_roles)
        require_in_force(keys, (await view.refresh()).keys)
        yield opened
    finally:
        partitions.cancel()
        await asyncio.to_thread(sequencer.stop)


def spare_the_collector() -> None:
    """Keep the garbage collector away from what is there when the server starts; call it then.

    That is never garbage, and there is much of it: to look through all of it, as a full collection
    does every few thousand calls, holds every thread up for a tenth of a second. What calls leave
    behind is mostly freed without the collector, so it looks at that less often, too.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX)


def leave_to_the_collector() -> None:
    """Undo `spare_the_collector`; call it when the server ends.

    Some libraries count at the interpreter's end what was left of them, and write about it on
    standard error, where every line is a log line.
    """
    gc.unfreeze()


async def register_host_keys(opened: Exchange, roles: frozenset[Role]) -> None:
    """Register the host's own keys, and the operators whom it vouches for in these roles.

    A crash leaves some of them registered; the next start registers the others.
    """
    registry = await opened.registry.refresh()
    for key in opened.keys.public_keys:
        if key.key_id not in registry.keys:
            await opened.carry_out(key.command(opened.audience, now()))
        kind, _, name = key.holder.partition("/")
        if kind == "operator" and name not in registry.operators:
            await opened.carry_out(ChangeRoles(name, "host", grant=roles, new=True))


def require_in_force(keys: HostKeys, known: Mapping[str, RegisteredKey]) -> None:
    """Raise CannotStart where a key in use was revoked, or is outside its validity: what it signed
    would not verify.
    """
    for purpose in EXCHANGE_PURPOSES:
        key = known[keys.signers[purpose].key_id]
        if key.revoked_index is not None or not key.valid_from <= now() < key.valid_until:
            raise CannotStart(
                f"the exchange's key for {purpose.lower()}, {key.key_id}, is not in force",
                f"run `pointclear key rotate --purpose {purpose.lower()}`",
            )


def leave_when_told() -> None:
    """Until `stop_request` takes over, SIGTERM leaves every open block, as ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def stop_request() -> asyncio.Event:
    """What SIGTERM and SIGINT set from now on; ask for it before anything is announced."""
    told = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    return told


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where there is one, else asyncio's own."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


async def keep_partitions(engine: Engine) -> None:
    """Make the next month's partition ahead, for ever."""
    pause_s = PARTITIONS_EVERY_S
    while True:
        await asyncio.sleep(pause_s)
        try:
            await asyncio.to_thread(ensure_partitions, engine)
            pause_s = PARTITIONS_EVERY_S
        except Exception as error:
            # A month is ahead already, so there is time to try again.
            log.warning("partitions could not be made: %s", named(error))
            pause_s = PARTITIONS_AGAIN_S
