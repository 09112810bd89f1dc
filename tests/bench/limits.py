"""Limits on everything that the run's orders touch, set and taken back between measurements.

They are far beyond what a run can reach: what is measured is their counting, not their refusing.
"""

from pathlib import Path

import uuid_utils

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from partners.limits.values import CorridorLimits, Funding, Limits, PartnerLimits, ProgramLimits
from partners.limits.wire import limits_to_proto
from pointclear.partners.v1.limits_pb2 import SetLimitsRequest
from tests.bench.coalition import CORRIDORS, NET_DEBIT_CAP, PARTNERS

BEYOND = 10**15


def every_limit(most: int) -> list[Limits]:
    """Limits of every partner, program, corridor and member; `most` 0 takes them back."""
    transfers = min(most, 10**9)
    return [
        *(
            CorridorLimits(
                each.source.partner_id,
                each.target.partner_id,
                source_points_per_day=most,
                member_transfers_per_day=transfers,
                member_points_per_day=most,
            )
            for each in CORRIDORS
        ),
        *(ProgramLimits(each.partner_id, most) for each in PARTNERS),
        *(
            PartnerLimits(each.partner_id, Funding.CAPPED, NET_DEBIT_CAP, transfers, most)
            for each in PARTNERS
        ),
    ]


def set_every_limit(data_dir: Path, address: str, *, on: bool) -> None:
    """Set them all, or take them all back."""
    with connect(load_profile(data_dir / "operator", address)) as operator:
        for limits in every_limit(BEYOND if on else 0):
            request = SetLimitsRequest(
                change_id=uuid_utils.uuid7().bytes, limits=limits_to_proto(limits)
            )
            operator.call(operator.partners.SetLimits, request)
