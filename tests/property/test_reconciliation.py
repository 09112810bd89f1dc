"""A file equal to ours has no break; each planted difference gives exactly its break."""

import json
import tempfile
from collections import Counter
from pathlib import Path
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from settlement.lines.line import LineFile, Role
from settlement.lines.line_file import write_line_file
from settlement.reconciliation.apart import FILE, Found, Job, reconcile
from settlement.reconciliation.following import Context, outcome
from tests.own_file import MAPPING, OwnRow, own_file, rows_of
from tests.unit.test_reconciliation_files import DAY, WINDOW, a_line

MEMBERS = {Role.SOURCE: "m-1", Role.TARGET: "m-1"}
STRAY = "019cb05c-f96d-77a5-93ab-3ed7b7ea6bc1"
LINES_MAX = 12

lines = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from([Role.SOURCE, Role.TARGET]),
            "source_points": st.integers(1, 10**12),
            "target_points": st.integers(1, 10**12),
            "value": st.integers(-(10**15), 10**15),
            "fee": st.integers(-(10**9), 0),
            "own_reference": st.sampled_from(["", "own", "=own", "'own", "a,b", 'say "it"']),
        }
    ),
    min_size=4,
    max_size=LINES_MAX,
)


def file_of(drawn: list[dict[str, object]]) -> LineFile:
    made = []
    for number, each in enumerate(drawn):
        programs = ("aurora", "borealis") if each["role"] is Role.SOURCE else ("borealis", "aurora")
        source, target = programs
        made.append(a_line(number, **each, source_program=source, target_program=target))
    return LineFile(WINDOW, "aurora", 6, tuple(made))


def held(file: LineFile, rows: list[OwnRow]) -> Found:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / FILE).write_bytes(own_file(rows))
        (folder / "lines.csv").write_bytes(write_line_file(file))
        # The close lies far after the last line: nothing is in transit.
        closings = {WINDOW: "2017-01-02 00:00:00"}
        job = Job(
            json.dumps(MAPPING),
            ("aurora",),
            "USD",
            ((DAY, DAY),),
            (("lines.csv", WINDOW, 0),),
            closings,
            "11" * 32,
        )
        return reconcile(folder, job)


def breaks_of(found: Found) -> Counter[tuple[str, str]]:
    result = outcome(found, Context((WINDOW,), "", 6))
    return Counter((each.category.value, str(each.transfer_id)) for each in result.breaks)


def plant(kind: str, rows: list[OwnRow], at: int) -> tuple[str, str]:
    """Change the rows; the break that it is."""
    row = rows[at]
    match kind:
        case "MISSING_AT_PARTNER":
            del rows[at]
        case "MISSING_AT_EXCHANGE":
            rows.insert(at, row.with_(transfer=STRAY))
            return kind, STRAY
        case "POINTS_MISMATCH":
            rows[at] = row.with_(points=row.points + 1)
        case "MONEY_MISMATCH":
            rows[at] = row.with_(money=f"{row.money.partition('.')[0]}9.999999")
        case "ROUNDING":
            whole, _, digits = row.money.partition(".")
            off = int(digits) + (4_000 if int(digits) < 500_000 else -4_000)
            rows[at] = row.with_(money=f"{whole}.{off:06d}")
        case "RATE_MISMATCH":
            rows[at] = row.with_(rate="51:25")
        case "FEE_MISMATCH":
            rows[at] = row.with_(fee=f"9{row.fee}")
        case "TAX_MISMATCH":
            rows[at] = row.with_(tax="7.000000")
        case "STATUS_MISMATCH":
            rows[at] = row.with_(state="back")
        case "DUPLICATE_AT_PARTNER":
            rows.insert(at, row.with_(reference="again"))
    return kind, row.transfer


KINDS = (
    *("MISSING_AT_PARTNER", "MISSING_AT_EXCHANGE", "POINTS_MISMATCH", "MONEY_MISMATCH", "ROUNDING"),
    *("RATE_MISMATCH", "FEE_MISMATCH", "TAX_MISMATCH", "STATUS_MISMATCH", "DUPLICATE_AT_PARTNER"),
)


@settings(max_examples=15, deadline=None)
@given(lines, st.randoms(use_true_random=False))
def test_a_file_equal_to_ours_has_no_break_in_any_order(drawn, random) -> None:  # type: ignore[no-untyped-def]
    file = file_of(drawn)
    rows = rows_of(file, MEMBERS)
    random.shuffle(rows)
    found = held(file, rows)
    assert found.matched == len(rows)
    assert not breaks_of(found)


@settings(max_examples=40, deadline=None)
@given(lines, st.sampled_from(KINDS), st.integers(0, LINES_MAX), st.randoms(use_true_random=False))
def test_each_planted_difference_gives_exactly_its_break(drawn, kind, at, random) -> None:  # type: ignore[no-untyped-def]
    file = file_of(drawn)
    rows = rows_of(file, MEMBERS)
    random.shuffle(rows)
    planted = plant(kind, rows, at % len(rows))
    assert breaks_of(held(file, rows)) == Counter([planted])
    assert UUID(planted[1])
