"""What keeps a server from starting."""

from partners.errors import PointclearError


class CannotStart(PointclearError):
    """The server cannot run as it is set up. One line: what is wrong and what to do about it."""

    def __init__(self, wrong: str, remedy: str) -> None:
        """Both halves are for the operator and name files, commands or settings."""
        super().__init__(" ".join(f"{wrong}: {remedy}".split()))
