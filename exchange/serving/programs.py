"""Wires what calls brands' systems."""

from datetime import timedelta

from adapters.by_route import CallingFiles, FileBatches, ProgramsByRoute, Simulating
from adapters.file_program.program import Rhythm
from exchange import server
from exchange.server import Exchange
from exchange.serving.deployment import Deployment
from exchange.simulated_keys import SimulatedKeys
from partners.environment import Environment
from partners.keys import Purpose


def programs_of(deployment: Deployment, exchange: Exchange) -> ProgramsByRoute:
    """What calls brands' systems."""
    folder = deployment.data_dir / "keys"
    settings = deployment.settings
    rhythm = Rhythm(
        age=timedelta(seconds=settings.file_batch_seconds),
        settled_after=timedelta(seconds=settings.file_settled_seconds),
    )
    simulating = Simulating(
        deployment.environment is Environment.SANDBOX, SimulatedKeys(deployment.data_dir).of
    )
    return ProgramsByRoute(
        deployment.audience,
        CallingFiles(folder / "ca.pem", folder / "calling-tls.pem", folder / "calling-tls-key.pem"),
        lambda: deployment.keys.signers[Purpose.RECEIPTS],
        lambda program: exchange.registry.current.programs[program],
        lambda key_id: exchange.registry.current.keys.get(key_id),
        server.now,
        FileBatches(deployment.data_dir / "deliveries", rhythm),
        None if deployment.environment is Environment.PRODUCTION else simulating,
    )
