"""Whom the exchange takes calls from: those it knows, whatever the authority has certified."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from exchange.cli.connection import connect
from exchange.cli.deployment.initialise import ensure_client_tls, load_authority
from exchange.cli.failure import Failed
from exchange.cli.profile import load_profile, write_profile_document
from pointclear.partners.v1.partners_service_pb2 import ListPartnersRequest
from tests.acceptance.coalition import make_data_dir
from tests.processes import Server, folder


@pytest.fixture(scope="module")
def deployment() -> Iterator[tuple[Path, Server]]:
    with folder() as home:
        data_dir = make_data_dir(home)
        with Server(data_dir) as server:
            yield data_dir, server


@pytest.mark.parametrize(
    "identity", ["pointclear://partner/nobody", "pointclear://operator/nobody"]
)
def test_a_certificate_alone_makes_nobody_a_caller(
    deployment: tuple[Path, Server], identity: str
) -> None:
    data_dir, server = deployment
    directory = data_dir.parent / identity.rpartition("//")[2].replace("/", "-")
    ensure_client_tls(directory, load_authority(data_dir), identity, datetime.now(UTC))
    write_profile_document(directory, identity, server.address, "whatever")
    with connect(load_profile(directory, server.address)) as own, pytest.raises(Failed) as failed:
        own.call(own.partners.ListPartners, ListPartnersRequest())
    assert failed.value.failure.reason == "CALLER_UNKNOWN"
