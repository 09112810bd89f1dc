"""Wires the services of the wire, and the door that their callers come in by."""

import time
from uuid import UUID

import grpc
import uuid_utils
from google.protobuf.descriptor import ServiceDescriptor

from exchange import server
from exchange.calls import Call
from exchange.delivery.service import Delivering
from exchange.dispatch import dispatch_to
from exchange.edge import RECEIVE_SPARE_BYTES, Door, service_handler
from exchange.forgetting import empty_orders
from exchange.grpc_listener import ChannelLimits
from exchange.logs import Logger, log_call
from exchange.metrics import Metrics
from exchange.rate_limit import CallerRates, Rate
from exchange.registry_view import RegistryView
from exchange.server import Exchange
from exchange.service import ExchangeService
from exchange.settings import Settings
from exchange.watching.service import Watching
from partners.actions.service import ActionService
from partners.caller import Caller
from partners.links.service import LinkService, LookUps
from partners.operators.service import OperatorService
from partners.service import PartnersService
from pointclear.exchange.v1 import exchange_service_pb2
from pointclear.partners.v1 import (
    action_service_pb2,
    link_service_pb2,
    operator_service_pb2,
    partners_service_pb2,
)
from pointclear.settlement.v1 import settlement_service_pb2
from settlement.service import SettlementService


def door_of(settings: Settings, registry: RegistryView, metrics: Metrics, log: Logger) -> Door:
    """The edge's rates, limits and watchers."""
    rates = CallerRates(Rate(settings.orders_per_second, settings.orders_burst))

    def spend(caller: Caller, cost: int) -> None:
        if not caller.is_operator:
            rates.spend(caller.holder, cost, time.monotonic_ns())

    def ended(call: Call) -> None:
        metrics.ended(call)
        log_call(log, call)

    return Door(
        settings.message_bytes_max,
        settings.large_message_bytes_max,
        registry.require,
        spend,
        ended,
        metrics.database_lost,
    )


def channel_limits(settings: Settings) -> ChannelLimits:
    """What gRPC itself is told."""
    largest = max(settings.message_bytes_max, settings.large_message_bytes_max)
    return ChannelLimits(
        largest + RECEIVE_SPARE_BYTES,
        settings.metadata_bytes_max,
        settings.concurrent_streams_max,
        settings.connection_age_seconds,
        settings.connection_age_grace_seconds,
        settings.grace_seconds,
    )


def descriptors() -> tuple[ServiceDescriptor, ...]:
    """The services of the wire."""
    return (
        exchange_service_pb2.DESCRIPTOR.services_by_name["ExchangeService"],
        partners_service_pb2.DESCRIPTOR.services_by_name["PartnersService"],
        link_service_pb2.DESCRIPTOR.services_by_name["LinkService"],
        operator_service_pb2.DESCRIPTOR.services_by_name["OperatorService"],
        action_service_pb2.DESCRIPTOR.services_by_name["ActionService"],
        settlement_service_pb2.DESCRIPTOR.services_by_name["SettlementService"],
    )


def new_id() -> UUID:
    """A UUID version 7 of this moment."""
    return UUID(bytes=uuid_utils.uuid7().bytes)


def watching_of(exchange: Exchange, settings: Settings, metrics: Metrics) -> Watching:
    """Partners' streams as they grow."""
    return Watching(
        exchange.engine, exchange.keys.signers, settings.watches_per_partner, metrics.watches_open
    )


def handlers(
    exchange: Exchange,
    door: Door,
    look_ups: LookUps,
    watches: Watching,
    delivering: Delivering,
    *,
    four_eyes: bool = True,
    simulates: bool = True,
) -> tuple[grpc.GenericRpcHandler, ...]:
    """Every service, given what it needs and no more."""
    engine, audience, signers = exchange.engine, exchange.audience, exchange.keys.signers
    named = {each.name: each for each in descriptors()}
    plain = {
        "ExchangeService": ExchangeService(
            engine,
            exchange.sequencer.submit,
            exchange.registry,
            audience,
            signers,
            exchange.stored_from,
            server.now,
            watches,
            delivering,
        ),
        "PartnersService": PartnersService(
            engine, exchange.carry_out, exchange.registry, audience, server.now, simulates=simulates
        ),
        "LinkService": LinkService(
            engine,
            exchange.carry_out,
            exchange.registry,
            audience,
            look_ups,
            empty_orders,
            server.now,
            new_id,
        ),
        "OperatorService": OperatorService(
            exchange.carry_out, exchange.registry, audience, exchange.keys.certifiers, server.now
        ),
        "SettlementService": SettlementService(
            engine, exchange.submit, audience, signers, server.now
        ),
    }
    dispatch = dispatch_to(
        ((named[name], each) for name, each in plain.items()), door.message_bytes_max
    )
    acting = ActionService(
        engine,
        exchange.carry_out,
        exchange.registry,
        audience,
        dispatch,
        server.now,
        four_eyes=four_eyes,
    )
    return tuple(
        service_handler(named[name], each, door)
        for name, each in {**plain, "ActionService": acting}.items()
    )
