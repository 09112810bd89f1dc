"""What kind of deployment this is. Pure."""

from enum import StrEnum

SANDBOX_SUFFIX = "/sandbox"
"""How the audience of every sandbox ends: what was signed for one is seen to be for no other."""


class Environment(StrEnum):
    """Made by `init` and never changed: what is signed for one deployment is void in any other."""

    DEVELOPMENT = "development"
    """One person's machine."""
    SANDBOX = "sandbox"
    """Where partners try their systems before they go live."""
    PRODUCTION = "production"
    """Real points and money: partners trade when they are live, and what takes two people is done
    by two.
    """
