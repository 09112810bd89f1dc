"""Keys that brands lend to the simulation of their programs, where nobody is real.

    <data-dir>/simulated/<program>/keys/orders.pem    made by `pointclear sandbox simulate`, with
                                                      its event; encrypted
    <data-dir>/simulated/<program>/passphrase         0600

A brand's own key for orders stays with it: this is a second one, registered like any other, and may
be revoked alone.

Effects: reads files.
"""

from dataclasses import dataclass, field
from pathlib import Path

from partners.key_files import FileSigner, load_key_file, read_passphrase_file
from partners.keys import Purpose

FOLDER = "simulated"


def simulated_folder(data_dir: Path, program: str) -> Path:
    """Where a program's key lies."""
    return data_dir / FOLDER / program


def simulated_key_path(folder: Path) -> Path:
    """The key in a program's folder."""
    return folder / "keys" / f"{Purpose.ORDERS.lower()}.pem"


@dataclass(slots=True)
class SimulatedKeys:
    """The keys of one deployment, each read when it is first there."""

    data_dir: Path
    _found: dict[str, FileSigner] = field(default_factory=dict)

    def of(self, program: str) -> FileSigner | None:
        """The key of a program; None while there is none. Raises KeyFileError."""
        folder = simulated_folder(self.data_dir, program)
        path = simulated_key_path(folder)
        if program not in self._found and path.exists():
            passphrase = read_passphrase_file(folder / "passphrase")
            self._found[program] = load_key_file(path, passphrase)
        return self._found.get(program)
