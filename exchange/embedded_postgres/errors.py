"""The one error of the embedded database."""

from partners.errors import PointclearError


class EmbeddedPostgresError(PointclearError):
    """The embedded database cannot run. One line: what is wrong and what to do about it."""

    def __init__(self, wrong: str, remedy: str) -> None:
        super().__init__(" ".join(f"{wrong}: {remedy}".split()))
