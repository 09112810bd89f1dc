"""The exchange's own signers: for each purpose the one in use, and those that it followed.

Pure but for `reload`. The rules kept here:

- What is signed names its key, and is signed by the key that it names, however often and however
  long after it is asked for. So a key that is no longer in use stays here as long as anything that
  names it may be asked for: for ever, since signatures are made on demand and never stored.
- A new payload names the key in use: the one that was in use when this process started.
"""

from collections.abc import Callable, Mapping, Sequence

from partners.errors import Reason, Refused
from partners.keys import Purpose, Signer

Held = Mapping[Purpose, Sequence[Signer]]
"""For each purpose the signer in use first, then those before it."""


class Signers:
    """By purpose and key id. Indexed by a purpose alone: the signer in use."""

    __slots__ = ("_by_key_id", "_held", "_reload")

    def __init__(self, held: Held, reload: Callable[[], Held] | None = None) -> None:
        """`reload` reads again what is held, for a key that another process has taken into use.

        Raises ValueError for a purpose without a signer.
        """
        if not all(held.values()):
            raise ValueError("a purpose has no signer")
        self._held = held
        self._reload = reload
        self._by_key_id = _by_key_id(held)

    def __getitem__(self, purpose: Purpose) -> Signer:
        """The signer in use; raises KeyError for a purpose that is not held."""
        return self._held[purpose][0]

    def key_ids(self, purpose: Purpose) -> tuple[str, ...]:
        """The keys of a purpose, the one in use first."""
        return tuple(each.key_id for each in self._held[purpose])

    def read_again(self) -> None:
        """Learn of the keys that were taken into use since this process started."""
        if self._reload is not None:
            self._held = self._reload()
            self._by_key_id = _by_key_id(self._held)

    def named(self, purpose: Purpose, key_id: str) -> Signer:
        """The signer of this very key.

        Raises Refused(TRY_LATER) where the host does not hold it: another may.
        """
        if (purpose, key_id) not in self._by_key_id:
            self.read_again()
        signer = self._by_key_id.get((purpose, key_id))
        if signer is None:
            raise Refused(
                Reason.TRY_LATER, "", f"this server does not hold key {key_id}, which signs this"
            )
        return signer


def _by_key_id(held: Held) -> Mapping[tuple[Purpose, str], Signer]:
    return {(purpose, each.key_id): each for purpose, several in held.items() for each in several}
