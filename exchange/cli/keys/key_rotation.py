"""Where signing keys lie, and how the next one takes the place of the one in use.

    <purpose>.pem              the key in use, with its event beside it: <purpose>.event.json
    <purpose>.next.pem         one that is not yet in use
    <purpose>.<key_id>.pem     one that was

Effects: renames files. After a crash the same command goes on where it stopped.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from exchange.cli.files import unusable
from exchange.cli.profile import ensure_key
from partners.key_files import FileSigner, read_passphrase_file
from partners.keys import Purpose


@dataclass(frozen=True, slots=True)
class KeyFolder:
    """A folder of keys, and the file with the passphrase that opens them."""

    path: Path
    passphrase_file: Path

    @classmethod
    def of_profile(cls, directory: Path) -> Self:
        """The keys of a partner's or an operator's profile."""
        return cls(directory / "keys", directory / "passphrase")

    @classmethod
    def of_host(cls, data_dir: Path) -> Self:
        """The exchange's own keys."""
        return cls(data_dir / "keys", data_dir / "keys" / "passphrase")

    def in_use(self, purpose: Purpose) -> Path:
        """The file of the key in use."""
        return self.path / f"{purpose.lower()}.pem"

    def following(self, purpose: Purpose) -> Path:
        """The file of a key that is not yet in use."""
        return self.path / f"{purpose.lower()}.next.pem"

    def signer(self, path: Path) -> FileSigner:
        """The key in a file of this folder, made where there is none. Raises KeyFileError."""
        return ensure_key(path, read_passphrase_file(self.passphrase_file))

    def take_into_use(self, purpose: Purpose) -> None:
        """Put the registered next key in the place of the one in use, which is kept under its key
        id. Raises FileError.

        A crash in between leaves the next key, or at the very end its event alone: the next run
        goes on from either.
        """
        current, following = self.in_use(purpose), self.following(purpose)
        try:
            if current.exists() and following.exists():
                key_id = self.signer(current).key_id
                retired = current.with_name(f"{purpose.lower()}.{key_id}.pem")
                if event_path_of(current).exists():
                    event_path_of(current).rename(event_path_of(retired))
                current.rename(retired)
            if following.exists():
                following.rename(current)
            if event_path_of(following).exists():
                event_path_of(following).rename(event_path_of(current))
        except OSError as error:
            raise unusable(self.path, error) from None

    def finish_earlier_rotation(self, purpose: Purpose) -> None:
        """Complete what a crash in `take_into_use` left: an event whose key is in use already.

        Raises FileError.
        """
        if not self.following(purpose).exists():
            self.take_into_use(purpose)


def event_path_of(path: Path) -> Path:
    """Where the event of a key file is kept."""
    return path.with_name(f"{path.stem}.event.json")
