"""One server process from its start to its stop: what is started, in which order, around what."""

import json

from exchange import server
from exchange.at_work import at_work
from exchange.delivery.sql_store import SqlDeliveryStore
from exchange.fold import Limits
from exchange.grpc_listener import listening
from exchange.http_listener import http_listening
from exchange.serving.delivery import delivery_of
from exchange.serving.deployment import Deployment
from exchange.serving.programs import programs_of
from exchange.serving.services import channel_limits, door_of, handlers, watching_of
from exchange.serving.settling import settling_of
from exchange.serving.signs import signs_of
from partners.environment import Environment
from partners.operators.roles import ALL_ROLES, Role


async def serve_until_told(deployment: Deployment) -> None:
    """Start everything, innermost last, and stop it the other way round."""
    settings, log, engine = deployment.settings, deployment.log, deployment.database.engine
    told = server.stop_request()
    instructions = SqlDeliveryStore(engine)
    signs = signs_of(deployment, instructions)
    async with (
        at_work(signs.watch),
        http_listening(signs.page, settings.http) as http_address,
        server.exchange(
            engine,
            deployment.keys,
            deployment.audience,
            deployment.stored_from,
            Limits(settings.refusals_per_minute),
            signs.metrics,
            settings.queue_max,
            settings.batch_max,
            vouched_roles(deployment.environment),
        ) as exchange,
    ):
        door = door_of(settings, exchange.registry, signs.metrics, log)
        watches = watching_of(exchange, settings, signs.metrics)
        door.under_way.at_close(watches.stop)
        programs = programs_of(deployment, exchange)
        delivery = delivery_of(settings, exchange, programs, instructions, signs)
        services = handlers(
            exchange,
            door,
            delivery.look_ups,
            watches,
            delivery.calls,
            four_eyes=settings.four_eyes == "on",
            simulates=programs.simulating is not None,
        )
        async with (
            programs,
            at_work(delivery.engine, *settling_of(exchange, signs.metrics), delivery.visits),
            listening(
                services,
                deployment.keys,
                settings.listen,
                channel_limits(settings),
                door.under_way,
                signs.health,
            ) as address,
        ):
            if settings.four_eyes == "off":
                log.warning("four_eyes is off: one operator may do what takes two")
            server.spare_the_collector()
            signs.readiness.serves(exchange.sequencer)
            log.info("started", address=address, http=http_address, audience=deployment.audience)
            announce(address, deployment.audience, http_address, as_json=deployment.as_json)
            await told.wait()
            signs.readiness.stops()
            log.info("stopping", calls=door.under_way.calls)
    server.leave_to_the_collector()


def vouched_roles(environment: Environment) -> frozenset[Role]:
    """What the host's own operators may do: in production only what makes others able to."""
    return frozenset((Role.OPERATOR,)) if environment is Environment.PRODUCTION else ALL_ROLES


def announce(address: str, audience: str, http_address: str, *, as_json: bool) -> None:
    """Say on standard output that calls are taken, in one line that a program can wait for."""
    if as_json:
        ready = {"event": "ready", "address": address, "audience": audience, "http": http_address}
        print(json.dumps(ready), flush=True)
    else:
        print(f"pointclear {audience} is ready on {address} (stop with Ctrl-C)", flush=True)
