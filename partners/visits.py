"""What happens when somebody looks after a program that answers by itself: one that is not called
for each instruction but visited from time to time, like a folder of files. Pure.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class VisitEvent:
    """One thing that happened there."""

    name: str
    """From a fixed list; counted."""
    text: str = ""
    """For an operator's log: no member and nothing from inside a brand's file. Empty for what is
    only counted."""
    needs_people: bool = False
    """Nothing goes on by itself until somebody has looked."""
    brings_answers: bool = False
    """Whether instructions have answers since then."""
