"""The program on the client's page runs as it stands there, and a second time changes nothing."""

import re
import subprocess
import sys
from pathlib import Path

from pointclear.client import START, connect
from tests.acceptance.coalition import coalition, make_data_dir
from tests.processes import ROOT, Server, environment, folder

PAGE = (ROOT / "docs/client.md").read_text(encoding="utf-8")
REDEMPTIONS = (
    "id,our_member,their_member,points\n"
    "R-1,A-1,B-1,100\n"
    "R-2,A-2,B-2,250\n"
    "R-3,A-3,someone@example.com,100\n"
    "R-4,A-4,B-4,5000000\n"
)


def test_the_program_of_the_page_redeems_each_redemption_once(tmp_path: Path) -> None:
    (program,) = re.findall(r"<!-- test: program -->\n+```python\n(.*?)```", PAGE, re.DOTALL)
    (tmp_path / "redeem.py").write_text(program)
    (tmp_path / "redemptions.csv").write_text(REDEMPTIONS)
    with (
        folder() as home,
        Server(make_data_dir(home)) as server,
        coalition(server, home) as members,
    ):
        directory = members["aurora"].connection.profile.directory
        members["borealis"].send(members["borealis"].order("aurora"))

        def run() -> list[str]:
            done = subprocess.run(
                [
                    *(sys.executable, "-W", "error", "redeem.py"),
                    *(str(directory), server.address, "redemptions.csv"),
                ],
                cwd=tmp_path,
                env=environment(),
                capture_output=True,
                text=True,
                check=False,
            )
            assert (done.returncode, done.stderr) == (0, "")
            return done.stdout.splitlines()

        first = run()
        assert first[:2] == [
            "R-1 done: 100 of ours, 50 of theirs",
            "R-2 done: 250 of ours, 125 of theirs",
        ]
        assert [line.partition(". ")[0] for line in first[2:4]] == [
            "R-3 give the points back: FIELD_INVALID",
            "R-4 give the points back: LIMIT_EXCEEDED",
        ]
        assert first[4:] == [
            "1 TARGET COMMITTED",
            "2 SOURCE COMMITTED",
            "3 SOURCE COMMITTED",
        ]
        # The stream was read, and what was redeemed is not redeemed again.
        assert run() == first[:4]
        with connect(directory) as client:
            assert len(list(client.watch(START, follow=False))) == 3
