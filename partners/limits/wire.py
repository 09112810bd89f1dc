"""Between the wire's messages and the values of switches and limits.

What an operator sends is checked field by field, stored and logged in its one encoding, and read
back from that.
"""

from datetime import timedelta
from uuid import UUID

from google.protobuf.duration_pb2 import Duration

from partners.errors import Reason, Refused
from partners.limits.values import (
    CorridorLimits,
    CorridorSwitches,
    Funding,
    Headroom,
    Limits,
    PartnerLimits,
    PartnerSwitches,
    ProgramLimits,
    ProgramSwitches,
    Switches,
)
from partners.points import POINTS_MAX, check_id
from pointclear.partners.v1 import limits_pb2 as pb

COUNT_MAX = 1_000_000_000
"""Most transfers that a limit may name."""
BAN_DAYS_MAX = 366
COOLING_MAX = timedelta(days=366)


def switches_from_proto(message: pb.Switches) -> Switches:
    """A subject's switches; raises Refused(FIELD_INVALID) naming the field."""
    match message.WhichOneof("subject"):
        case "partner":
            partner = message.partner
            return PartnerSwitches(
                check_id(partner.partner_id, "switches.partner.partner_id"),
                partner.sending_stopped,
                partner.receiving_stopped,
                partner.quoting_stopped,
                partner.settlement_on_hold,
            )
        case "corridor":
            corridor = message.corridor
            return CorridorSwitches(
                check_id(corridor.source_program, "switches.corridor.source_program"),
                check_id(corridor.target_program, "switches.corridor.target_program"),
                corridor.closed,
            )
        case "program":
            program_id = check_id(message.program.program_id, "switches.program.program_id")
            return ProgramSwitches(program_id, message.program.in_maintenance)
        case _:
            raise Refused(Reason.FIELD_INVALID, "switches", "name a partner, corridor or program")


def switches_to_proto(switches: Switches) -> pb.Switches:
    """A subject's switches as the wire shows them."""
    match switches:
        case PartnerSwitches():
            return pb.Switches(
                partner=pb.PartnerSwitches(
                    partner_id=switches.partner_id,
                    sending_stopped=switches.sending_stopped,
                    receiving_stopped=switches.receiving_stopped,
                    quoting_stopped=switches.quoting_stopped,
                    settlement_on_hold=switches.settlement_on_hold,
                )
            )
        case CorridorSwitches():
            return pb.Switches(
                corridor=pb.CorridorSwitches(
                    source_program=switches.source_program,
                    target_program=switches.target_program,
                    closed=switches.closed,
                )
            )
        case ProgramSwitches():
            return pb.Switches(
                program=pb.ProgramSwitches(
                    program_id=switches.program_id, in_maintenance=switches.in_maintenance
                )
            )


def limits_from_proto(message: pb.Limits) -> Limits:
    """A subject's limits; raises Refused(FIELD_INVALID) naming the field."""
    match message.WhichOneof("subject"):
        case "partner":
            return _partner_limits(message.partner)
        case "corridor":
            return _corridor_limits(message.corridor)
        case "program":
            program_id = check_id(message.program.program_id, "limits.program.program_id")
            points = message.program.target_points_per_day
            return ProgramLimits(
                program_id, _within(points, POINTS_MAX, "limits.program.target_points_per_day")
            )
        case _:
            raise Refused(Reason.FIELD_INVALID, "limits", "name a partner, corridor or program")


def _partner_limits(message: pb.PartnerLimits) -> PartnerLimits:
    at = "limits.partner"
    partner_id = check_id(message.partner_id, f"{at}.partner_id")
    known = message.funding in pb.Funding.values()
    name = pb.Funding.Name(message.funding).removeprefix("FUNDING_") if known else ""
    if name not in Funding.__members__:
        raise Refused(Reason.FIELD_INVALID, f"{at}.funding", "the funding is not stated")
    cap = _within(message.net_debit_cap, POINTS_MAX, f"{at}.net_debit_cap")
    if name == Funding.PREPAID and cap:
        raise Refused(
            Reason.FIELD_INVALID,
            f"{at}.net_debit_cap",
            "the cap of a PREPAID partner is its collateral: leave it 0",
        )
    return PartnerLimits(
        partner_id,
        Funding[name],
        cap,
        _within(message.transfers_per_day, COUNT_MAX, f"{at}.transfers_per_day"),
        _within(message.value_per_day, POINTS_MAX, f"{at}.value_per_day"),
        _headroom(message, f"{at}.headroom"),
    )


def _headroom(message: pb.PartnerLimits, field: str) -> Headroom | None:
    if not message.headroom:
        return None
    if message.headroom not in pb.Headroom.values():
        raise Refused(Reason.FIELD_INVALID, field, "it counts at the commit or when settled")
    return Headroom[pb.Headroom.Name(message.headroom).removeprefix("HEADROOM_")]


def _corridor_limits(message: pb.CorridorLimits) -> CorridorLimits:
    at = "limits.corridor"
    cooling = message.link_cooling
    if cooling.nanos or not 0 <= cooling.seconds <= COOLING_MAX // timedelta(seconds=1):
        raise Refused(Reason.FIELD_INVALID, f"{at}.link_cooling", "a cooling time is 0 to 366 days")

    def points(field: str) -> int:
        return _within(getattr(message, field), POINTS_MAX, f"{at}.{field}")

    def count(field: str, most: int = COUNT_MAX) -> int:
        return _within(getattr(message, field), most, f"{at}.{field}")

    return CorridorLimits(
        check_id(message.source_program, f"{at}.source_program"),
        check_id(message.target_program, f"{at}.target_program"),
        points("source_points_per_day"),
        count("member_transfers_per_day"),
        points("member_points_per_day"),
        count("return_ban_days", BAN_DAYS_MAX),
        timedelta(seconds=cooling.seconds),
        points("review_above_points"),
        count("review_member_transfers_per_day"),
        points("review_member_points_per_day"),
    )


def _within(value: int, most: int, field: str) -> int:
    if not 0 <= value <= most:
        raise Refused(Reason.FIELD_INVALID, field, f"a limit is 0 to {most:,}")
    return value


def limits_to_proto(limits: Limits) -> pb.Limits:
    """A subject's limits as the wire shows them."""
    match limits:
        case PartnerLimits():
            return pb.Limits(
                partner=pb.PartnerLimits(
                    partner_id=limits.partner_id,
                    funding=pb.Funding.Value(f"FUNDING_{limits.funding}"),
                    net_debit_cap=limits.net_debit_cap,
                    transfers_per_day=limits.transfers_per_day,
                    value_per_day=limits.value_per_day,
                    headroom=pb.Headroom.Value(f"HEADROOM_{limits.headroom or 'UNSPECIFIED'}"),
                )
            )
        case CorridorLimits():
            return pb.Limits(corridor=_corridor_to_proto(limits))
        case ProgramLimits():
            return pb.Limits(
                program=pb.ProgramLimits(
                    program_id=limits.program_id,
                    target_points_per_day=limits.target_points_per_day,
                )
            )


def _corridor_to_proto(limits: CorridorLimits) -> pb.CorridorLimits:
    seconds = limits.link_cooling // timedelta(seconds=1)
    return pb.CorridorLimits(
        source_program=limits.source_program,
        target_program=limits.target_program,
        source_points_per_day=limits.source_points_per_day,
        member_transfers_per_day=limits.member_transfers_per_day,
        member_points_per_day=limits.member_points_per_day,
        return_ban_days=limits.return_ban_days,
        link_cooling=Duration(seconds=seconds) if seconds else None,
        review_above_points=limits.review_above_points,
        review_member_transfers_per_day=limits.review_member_transfers_per_day,
        review_member_points_per_day=limits.review_member_points_per_day,
    )


def switches_body(switches: Switches) -> bytes:
    """A subject's switches in their one encoding, as they are stored and logged."""
    return switches_to_proto(switches).SerializeToString(deterministic=True)


def switches_from_body(body: bytes) -> Switches:
    """What `switches_body` wrote."""
    return switches_from_proto(pb.Switches.FromString(body))


def limits_body(limits: Limits) -> bytes:
    """A subject's limits in their one encoding, as they are stored and logged."""
    return limits_to_proto(limits).SerializeToString(deterministic=True)


def limits_from_body(body: bytes) -> Limits:
    """What `limits_body` wrote."""
    return limits_from_proto(pb.Limits.FromString(body))


def change_id_of(raw: bytes) -> UUID:
    """A change's id; raises Refused(FIELD_INVALID) unless it is 16 bytes of a UUID version 7."""
    if len(raw) == 16:
        value = UUID(bytes=raw)
        if value.version == 7:
            return value
    raise Refused(Reason.FIELD_INVALID, "change_id", "a change id is 16 bytes of a UUID version 7")
