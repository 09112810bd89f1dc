"""How a scenario ended. Pure."""

from dataclasses import dataclass

from partners.certification import ScenarioName, Verdict


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a scenario ended."""

    name: ScenarioName
    verdict: Verdict
    note: str = ""
    """One line for people: what was wrong, or what shows that nothing was."""
