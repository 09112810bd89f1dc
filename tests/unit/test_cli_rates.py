"""`rates`: proposals from prices and values, the check before anyone signs, and the picture."""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from exchange.cli.agreements.rate_sets import CorridorRate, rate_set, rates_at
from partners.errors import Reason
from partners.registry import Force
from tests import factories as make
from tests.unit.test_cli_app import app, nothing

COMMON = "--currency CNY --maximum 1000000 --fee-bps 100 --tax vat6 --json"
BRANDS = "aurora/miles=1.5 lotus/stars=0.8 hotel/nights=40"

Run = Callable[..., Any]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command, and returns its document or its error's."""
    monkeypatch.chdir(tmp_path)
    for name in ("POINTCLEAR_DATA_DIR", "POINTCLEAR_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner()

    def run_command(command: str, exit_code: int = 0) -> Any:
        result = runner.invoke(app(nothing), command.split())
        assert result.exit_code == exit_code, (command, result.output)
        return json.loads(result.stderr if exit_code else result.stdout)

    return run_command


@pytest.fixture
def files(run: Run) -> str:
    """The files of every corridor between three programs, a spread of 3 % kept."""
    document = run(
        f"rates numeraire {BRANDS} --unit-price 0.01 --spread-bps 300 --block 100 -o terms {COMMON}"
    )
    return " ".join(each["file"] for each in document["files"])


def test_derive_writes_the_exact_rates_of_both_directions(run: Run) -> None:
    document = run(
        f"rates derive grocery/grocery=0.0196 fuel/fuel=0.0095 --margin-bps 200 -o two {COMMON}"
    )
    assert document["files"] == [
        {"file": "two/grocery-fuel.json", "corridor": "grocery → fuel", "rate": "2375:4802"},
        {"file": "two/fuel-grocery.json", "corridor": "fuel → grocery", "rate": "40:19"},
    ]
    written = json.loads(Path("two/fuel-grocery.json").read_bytes())
    assert written["price_per_target_point"] == "0.019600"
    assert written["rate"] == "40:19"
    assert (written["source_partner"], written["target_program"]) == ("fuel", "grocery")


def test_numeraire_writes_every_corridor_and_the_set_is_free_of_loops(run: Run, files: str) -> None:
    checked = run(f"rates check --files-only --json {files}")
    assert checked["loop"] is None
    assert len(checked["corridors"]) == 6
    assert {
        (each["source_program"], each["target_program"]): each["multiplier"]
        for each in checked["corridors"]
    }["miles", "stars"] == "181/100"
    assert all(float(each["best_return"]) <= 0.97**2 for each in checked["corridors"])


def test_programs_of_one_brand_have_no_corridor(run: Run) -> None:
    document = run(f"rates numeraire a/one=1 a/two=2 b/three=3 --unit-price 0.01 -o t {COMMON}")
    assert len(document["files"]) == 4


def test_a_loop_among_files_is_refused_as_activation_would(run: Run, files: str) -> None:
    path = Path("terms/miles-stars.json")
    path.write_text(path.read_text().replace("100:181", "100:200"))
    error = run(f"rates check --files-only --json {files}", exit_code=1)["error"]
    assert (error["reason"], error["exit_code"]) == ("FREE_LUNCH", 1)
    assert error["metadata"]["loop"] == "miles > stars > miles"
    assert error["metadata"]["product"] == "51/50"


@pytest.mark.parametrize(
    ("command", "reason", "field"),
    [
        ("rates derive a/b=0.01 c=0.02", "FIELD_INVALID", ""),
        ("rates derive a/b=0 c/d=0.02", "FIELD_INVALID", "source_value"),
        ("rates derive a/b=0.0000001 c/d=0.02", "FIELD_INVALID", "b"),
        ("rates derive A/b=0.01 c/d=0.02", "FIELD_INVALID", "partner"),
        ("rates derive a/b=0.01 c/b=0.02", "FIELD_INVALID", "program"),
        ("rates derive a/b=0.000001 c/d=1 --block 5", "TERMS_INVALID", "block_rate"),
        ("rates derive a/b=0.999983 c/d=1", "TERMS_INVALID", "maximum_source_points"),
        ("rates numeraire a/b=0.3333333 c/d=1 --unit-price 0.01", "FIELD_INVALID", "unit_price"),
        (
            "rates numeraire a/b=999999999999999999 c/d=0.000000000001 --unit-price 1",
            "FIELD_INVALID",
            "unit_price",
        ),
    ],
)
def test_what_makes_no_terms_is_refused_by_name(
    run: Run, command: str, reason: str, field: str
) -> None:
    options = COMMON.replace("1000000", "10000")
    error = run(f"{command} -o out {options}", exit_code=1)["error"]
    assert (error["reason"], error["field"]) == (reason, field)
    assert error["remedy"]
    assert not Path("out").exists()


def test_a_rate_too_long_for_its_field_asks_for_a_block(run: Run) -> None:
    values = "a/b=999999.999999999989 c/d=999999.999999999961"
    command = f"rates numeraire {values} --unit-price 1000000 --spread-bps 1 -o out {COMMON}"
    error = run(command, exit_code=1)["error"]
    assert (error["reason"], error["field"]) == ("TERMS_INVALID", "block_rate")


@pytest.mark.parametrize(
    "content", ["", "[]", '{"rate": 1}', '{"audience": "x"}', '{"version": "one"}', "\ud800"]
)
def test_a_file_that_holds_no_terms_is_refused(run: Run, content: str) -> None:
    Path("bad.json").write_text(content, errors="surrogatepass")
    error = run("rates check --files-only --json bad.json", exit_code=1)["error"]
    assert error["reason"] in ("FIELD_INVALID", "TERMS_INVALID")


def test_a_proposal_takes_the_place_of_what_is_in_force_when_it_begins() -> None:
    later = make.NOW + timedelta(days=1)
    seen = [
        Force(make.terms(*pair), make.NOW) for pair in (("grocery", "fuel"), ("fuel", "grocery"))
    ]
    both = rate_set(seen, [make.terms("grocery", "fuel", version=2, rate=(4, 1))], later)
    assert [float(each.multiplier.factor) for each in rates_at(both, make.NOW)] == [1.9, 0.5]
    assert [float(each.multiplier.factor) for each in rates_at(both, later)] == [1.9, 0.25]
    assert [each.returns for each in rates_at(both, later)] == [pytest.approx(0.475)] * 2


def test_while_a_loop_gains_only_its_corridors_say_what_comes_back() -> None:
    pairs = {("grocery", "fuel"): (1, 1), ("fuel", "grocery"): (10, 11), ("fuel", "deli"): (1, 1)}
    forces = [Force(make.terms(*pair, rate=rate), make.NOW) for pair, rate in pairs.items()]
    rates = rates_at(rate_set(forces, (), make.NOW), make.NOW)
    assert [each.returns for each in rates] == [None, pytest.approx(1.1), pytest.approx(1.1)]


# The picture


def picture(result: CliRunner, arguments: str) -> bytes:
    """The SVG that a command writes."""
    outcome = result.invoke(app(nothing), arguments.split())
    assert outcome.exit_code == 0, outcome.output
    return Path("rates.svg").read_bytes()


def texts(svg: bytes) -> set[str]:
    """All that is written in a picture."""
    return {
        each.text
        for each in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")
        if each.text
    }


def test_a_few_programs_stand_on_a_circle_and_the_bytes_are_the_same_each_time(
    run: Run, files: str
) -> None:
    command = f"rates graph --files-only -o rates.svg {files}"
    first = picture(CliRunner(), command)
    assert texts(first) >= {"miles", "stars", "nights", "1.81", "0.51"}
    assert picture(CliRunner(), command) == first


def test_many_programs_are_a_matrix(run: Run) -> None:
    members = " ".join(f"b{place}/p{place}={place}" for place in range(1, 9))
    written = run(f"rates numeraire {members} --unit-price 0.01 -o terms {COMMON}")["files"]
    files = " ".join(each["file"] for each in written)
    svg = picture(CliRunner(), f"rates graph --files-only -o rates.svg {files}")
    assert texts(svg) >= {"from", "to", "p1", "p8", "0.125", "8", "gives all back"}


def test_a_picture_of_nothing_is_refused(run: Run) -> None:
    error = run("rates graph --files-only -o rates.svg --json", exit_code=1)["error"]
    assert error["reason"] == Reason.AGREEMENT_UNKNOWN


def test_a_corridor_of_no_way_back_has_no_return() -> None:
    rates = rates_at(rate_set([Force(make.TERMS, make.NOW)], (), make.NOW), make.NOW)
    assert [type(each) for each in rates] == [CorridorRate]
    assert rates[0].returns is None
