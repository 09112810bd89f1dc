"""How a scenario ended. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

from partners.certification import ScenarioName, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario ended."""

    name: ScenarioName
    verdict: Verdict
    note: str = ""
    """One line for people: what was wrong, or what shows that nothing was."""


Outcomes = Mapping[ScenarioName, Outcome]
"""Of scenarios that have ended."""
