"""Writes a large workbook in a process of its own.

A million lines take a processor for minutes. Within the server they would take turns with orders
for the interpreter's lock; a process beside it, of low priority, only takes what is left over.

    python -m settlement.reports.apart SCALE DAY SHA256 FILE

reads a line file from its input, writes the workbook to FILE and tells on its output how many lines
it has written, a number a line. A crash of either leaves a temporary file and nothing else: without
all of its input the process ends with a fault.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from typing import IO, Final

from exchange.fold import InvariantBroken
from settlement.reports.line_workbook import Told, write_line_workbook

READ_BYTES: Final = 1 << 20
LESS_URGENT: Final = 10
"""How much nicer than the server it is."""


def write_apart(
    target: IO[bytes], parts: Iterable[bytes], sha256: bytes, scale: int, day: date, told: Told
) -> None:
    """As `write_line_workbook`, in another process. Raises InvariantBroken where that failed."""
    with tempfile.TemporaryDirectory(prefix="pointclear-report-") as folder:
        path = Path(folder) / "lines.xlsx"
        arguments = [str(scale), day.isoformat(), sha256.hex(), str(path)]
        with subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            listener = threading.Thread(target=_listen, args=(process.stdout, told))
            listener.start()
            try:
                process.stdin.writelines(parts)
                process.stdin.close()
            except BrokenPipeError:
                # It ended before its time: its exit code says so.
                pass
            except BaseException:
                process.kill()
                raise
            finally:
                listener.join()
            if process.wait() != 0:
                raise InvariantBroken("the workbook of a line file could not be written")
        with path.open("rb") as file:
            shutil.copyfileobj(file, target)


def _listen(output: IO[bytes], told: Told) -> None:
    for line in output:
        told(int(line))


def main() -> None:
    """The process."""
    os.nice(LESS_URGENT)
    scale, day, sha256, path = sys.argv[1:]
    with Path(path).open("wb") as file:
        write_line_workbook(
            file,
            _whole_rows(sys.stdin.buffer),
            bytes.fromhex(sha256),
            int(scale),
            date.fromisoformat(day),
            lambda lines: print(lines, flush=True),
        )


def _whole_rows(file: IO[bytes]) -> Iterator[bytes]:
    """A file in parts that end where a line does."""
    left = b""
    while read := file.read(READ_BYTES):
        whole, end, left_over = (left + read).rpartition(b"\n")
        yield whole + end
        left = left_over
    yield left


if __name__ == "__main__":
    main()
