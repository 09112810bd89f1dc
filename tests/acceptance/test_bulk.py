"""What `tests.bench.bulk` fills is a deployment like any other: a server serves it, states its
window, and its papers and books verify.
"""

import json
import subprocess
import sys
from pathlib import Path

from tests.acceptance.coalition import check_log_and_books
from tests.bench.bulk import BATCH, BYTES_PER_TRANSFER, SPARE_BYTES
from tests.processes import COMMAND_TIMEOUT_S, Server, environment, folder, pointclear

TRANSFERS = BATCH + 300
"""More than one batch, so that some of the first are taken back in the second."""


def bulk(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "tests.bench.bulk", *arguments],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )


def test_a_deployment_that_was_filled_past_the_front_door_is_stated_through_it() -> None:
    with folder() as home:
        filled = bulk("--transfers", str(TRANSFERS), "--folder", str(home / "bulk"), "--close")
        assert filled.returncode == 0, filled.stderr
        data_dir = home / "bulk" / "exchange"
        window = filled.stdout.strip().splitlines()[-1].removeprefix("Closed ")
        checked = pointclear("fsck", "--data-dir", data_dir)
        assert checked.returncode == 0, checked.stdout
        with Server(data_dir) as server:
            at = ("--server", server.address, "--json")
            settled = pointclear("settle", window, "--data-dir", data_dir, *at)
            assert settled.returncode == 0, settled.stderr
            count = 0
            for profile in sorted((home / "bulk" / "brands").iterdir()):
                stated = pointclear(
                    *("statement", window, "--as", profile, "--out", home / "papers"), *at
                )
                # It has verified both, or it would have said so.
                assert stated.returncode == 0, stated.stderr
                count += json.loads(stated.stdout)["line_count"]
            # Every transfer and every reversal stands in the papers of two brands.
            assert count == 2 * (TRANSFERS + BATCH // 50)
        with Server(data_dir):
            check_log_and_books(data_dir)


def test_it_refuses_before_it_begins_where_the_disk_has_no_room(tmp_path: Path) -> None:
    refused = bulk("--transfers", str(10**12), "--folder", str(tmp_path / "bulk"))
    needed = (10**12 * BYTES_PER_TRANSFER + SPARE_BYTES) / 1e9
    assert refused.returncode == 3
    assert f"{10**12:,} transfers need {needed:.1f} GB" in refused.stderr
    assert "Choose fewer transfers" in refused.stderr
    assert not (tmp_path / "bulk").exists()
