"""A server whose clock is wrong hands instructions out as the others do: leases are by the
database's clock. Threat 23.
"""

from datetime import UTC, datetime, timedelta

from exchange.cli.connection import connect
from exchange.cli.profile import load_profile
from pointclear.exchange.v1 import exchange_service_pb2 as pb
from pointclear.partners.v1 import agreement_pb2
from tests.acceptance.coalition import (
    Brand,
    agree,
    check_log_and_books,
    coalition,
    make_data_dir,
)
from tests.acceptance.test_delivery import Told, confirm, pull, reserve, said, stands
from tests.processes import Server, folder, wait_until
from tests.skewed_server import SKEW

LEASE_S = 20
SKEW_S = 3_600
"""Ahead: one that is behind does not start, since there the exchange's keys are not good yet."""


def pulled_at(server: Server, brand: Brand) -> list[pb.PulledInstruction]:
    """What a server hands out to a brand."""
    with connect(load_profile(brand.connection.profile.directory, server.address)) as own:
        request = pb.PullCreditsRequest(program=brand.name)
        return list(own.call(own.exchange.PullCredits, request).instructions)


def test_t23_a_lease_that_a_server_with_a_wrong_clock_gave_holds_and_ends_in_time() -> None:
    with (
        folder() as home,
        Server(make_data_dir(home)) as right,
        coalition(right, home) as members,
        Server(right.data_dir, program="tests.skewed_server", **{SKEW: str(SKEW_S)}) as wrong,
    ):
        agree(members, "aurora", "cirrus", 2, credit_mode=agreement_pb2.CREDIT_MODE_CONFIRMED)
        Told((right, wrong), members).route("cirrus", "PULL", lease_seconds=LEASE_S)
        aurora, cirrus = members["aurora"], members["cirrus"]
        name = reserve(aurora)
        (given,) = pulled_at(wrong, cirrus)
        assert given.credit.instruction_id == name
        shown = given.lease_until.ToDatetime(UTC) - datetime.now(UTC)
        assert abs(shown - timedelta(seconds=SKEW_S)) < timedelta(minutes=1), "its clock is wrong"
        assert pull(cirrus) == []
        assert pulled_at(wrong, cirrus) == []
        wait_until(lambda: pull(cirrus) != [], "the lease ends, by the database's clock")
        assert pulled_at(wrong, cirrus) == []
        assert stands(aurora, name) == ("RESERVED", "SENT")
        assert confirm(cirrus, said(cirrus, name)) == "CONCLUDED"
        check_log_and_books(right.data_dir)
