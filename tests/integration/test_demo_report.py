"""The demo's page, from figures made up here: charts are drawn by the real renderer."""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import date, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest

from exchange.cli.demo import summary
from exchange.cli.demo.approval import Disputed
from exchange.cli.demo.chart_parts import HUB_NAME, spans
from exchange.cli.demo.coalition import BRANDS
from exchange.cli.demo.deliveries import Look
from exchange.cli.demo.figures import Figures
from exchange.cli.demo.linked import Sight
from exchange.cli.demo.mishaps import Refusal
from exchange.cli.demo.offers import GREENS, ROAST
from exchange.cli.demo.operators import Acted
from exchange.cli.demo.outage import Outage
from exchange.cli.demo.own_books import Reconciled
from exchange.cli.demo.papers import Paper
from exchange.cli.demo.promotion_costs import PromotionCost
from exchange.cli.demo.reached import Reached
from exchange.cli.demo.report import page
from exchange.cli.demo.totals import HUB, Day, Totals
from exchange.cli.output import json_text

FIRST = date(2017, 1, 1)
VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "<script>alert('x')</script>\"&<img src=https://example.test/x>"


def day(number: int = 0, refused: Mapping[str, int] | None = None) -> Day:
    """A day on which grocery owes meat."""
    owed = 1_234_567 * (number + 1)
    return Day(
        business_date=FIRST + timedelta(days=number),
        orders=1_005,
        refused=refused or {},
        source_points={("grocery", "meat"): 12_300, ("meat", "grocery"): 50},
        target_points={("grocery", "meat"): 11_931, ("meat", "grocery"): 48},
        nets={"grocery": -owed, "meat": owed - 7, HUB: 7},
        paid={"grocery": -1_240_000, "meat": 1_230_000},
        ordering_s=2.5,
        bonus_points={ROAST.promotion_id: 120, GREENS.promotion_id: 30},
        uplift_points={"silver": 7, "gold": 3},
    )


COSTS = (
    PromotionCost(ROAST, "meat", 6_000, 720_000),
    PromotionCost(ROAST, "deli", 4_000, 480_000),
    PromotionCost(GREENS, "produce", 5_000, 120_001),
    PromotionCost(GREENS, HUB, 5_000, 119_999),
)


SIGHTS = (
    Sight("fuel", "grocery", "fuel-card-7", ("fuel-card-7",), 3, 0),
    Sight("grocery", "fuel", "grocery-card-7", ("grocery-card-7",), 3, 0),
)
ACTED = (
    Acted("ActivateAgreement", "ada", "ben", "CARRIED_OUT", 90),
    Acted("CloseWindow", "ada", "", "CARRIED_OUT", 7),
    Acted("SetLimits", "ada", "", "PENDING", 1),
)


REACHED = (
    Reached("grocery", "PULL", False, 27, 27, 28, 0, 0.9),
    Reached("meat", "GRPC", True, 177, 177, 1_186, 9, 4.8),
)
DISPUTED = Disputed(
    "usd-2017-01-04", "produce", "grocery", "id", 464_000, {"grocery": 2, "produce": 2, "meat": 1}
)
RECONCILED = Reconciled(
    "grocery", "usd-2017-01-07", 87, 86, 76, {"TIMING": 1, "ROUNDING": 1}, {"TIMING": 1}, True
)
BEGAN = 1_800_000_000.0
"""When the program stopped answering."""


def look(second: float, waiting: int, in_doubt: int = 0, others: int = 0) -> Look:
    """What was seen so long after the program stopped answering."""
    own = {"meat": waiting} if waiting else {}
    return Look(BEGAN + second, own | {"produce": others}, own, {"meat": in_doubt})


OUTAGE = Outage(
    brand="meat",
    hung_at=BEGAN,
    killed_at=BEGAN + 0.25,
    back_at=BEGAN + 3,
    drained_at=BEGAN + 4,
    left_in_window=22,
    looks=(
        look(-0.5, 0),
        look(0.25, 22, 7, 3),
        look(0.5, 22, 7),
        look(0.75, 22, 7),
        look(2.5, 54, 9, 1),
        look(3.5, 8, 2),
        look(4, 0),
        look(4.5, 0),
    ),
)


def figures(days: int = 7, **changed: Any) -> Figures:
    """What a page shows when all went well."""
    good = Figures(
        totals=Totals(tuple(day(number) for number in range(days))),
        mishaps=(Refusal("half a block more", "INCREMENT", "INCREMENT", recorded=True),),
        verified={"receipts": 7_036, "statements": 70},
        faults=(),
        bank_balance="2.210000",
        costs=COSTS,
        sights=SIGHTS,
        acted=ACTED,
        reached=REACHED,
        outage=OUTAGE,
        acknowledged=70,
        disputed=DISPUTED,
        papers=(Paper("grocery", "statement", "usd-2017-01-07.statement.pdf", 56_835, "ab" * 32),),
        reconciled=RECONCILED,
    )
    return replace(good, **changed)


class Page(HTMLParser):
    """The page as read: it raises AssertionError for an element that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.headlines: dict[str, str] = {}
        self._open: list[str] = []
        self._caption = self._name = ""
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in VOID:
            self._open.append(tag)
        if tag == "tr":
            self.tables[self._caption].append([])
        if tag in {"td", "th"}:
            self.tables[self._caption][-1].append("")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "caption":
            self._caption = data
            self.tables[data] = []
        elif inside in {"td", "th"}:
            self.tables[self._caption][-1][-1] += data
        elif inside == "dt":
            self._name = data
        elif inside == "dd":
            self.headlines.setdefault(self._name, data)


def test_the_page_is_well_formed_and_every_chart_has_a_description_and_a_table() -> None:
    read = Page(page(figures()))
    assert read.tags.count("svg") == 2 * 8
    assert read.attributes.count(("role", "img")) == 2 * 8
    descriptions = [value for name, value in read.attributes if name == "aria-label" and value]
    assert sum(each.startswith("Chart: ") for each in descriptions) == 2 * 8
    assert list(read.tables) == [
        "Points and net of every brand",
        "Points between brands",
        "What each promotion cost whom",
        "Net positions by day",
        "Settlement legs",
        "Orders by day",
        "Throughput by day",
        "Refusals by reason",
        "The brands: Every kind of brand",
        "Every kind of brand",
        "A member with a link",
        "Who acted for the coalition",
        "A line in dispute",
        "A brand's own file, reconciled",
        "Papers of the last day",
    ]


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    html = page(figures())
    read = Page(html)
    assert not {"script", "link", "img", "iframe", "object", "image", "use"} & set(read.tags)
    names = {name for name, _ in read.attributes}
    assert not {"src", "href", "xlink:href", "srcset"} & names
    assert not any(name.startswith("on") for name in names)
    assert not re.search(r"https?:|url\(|@import", html)
    assert "default-src 'none'" in html


def test_ids_do_not_collide_within_the_page() -> None:
    ids = [value for name, value in Page(page(figures())).attributes if name == "id"]
    assert len(ids) == len(set(ids))


def test_headlines_are_the_totals() -> None:
    totals = Totals((day(0, {"TRY_LATER": 5}), day(1)))
    headlines = Page(page(figures(totals=totals))).headlines
    assert headlines == {
        "Orders": "2,010",
        "Committed": "2,005",
        "Refused": "5",
        "Points taken": "24,700",
        "Σ of nets, USD": "0.000000",
        "Receipts verified": "7,036",
        "Orders per second": "402",
        "Bank balance, USD": "2.210000",
    }


def test_tables_hold_every_figure_of_every_day() -> None:
    totals = Totals((day(0, {"TRY_LATER": 5}), day(1)))
    tables = Page(page(figures(totals=totals))).tables
    names = {brand.partner_id: brand.legal_name for brand in BRANDS}
    brands = {row[0]: row[1:] for row in tables["Points and net of every brand"]}
    assert brands[names["grocery"]] == ["24,600", "96", "-3.703701"]
    assert brands[names["meat"]] == ["100", "23,862", "3.703687"]
    assert brands[HUB_NAME][-1] == "0.000014"
    assert tables["Points between brands"][1:] == [
        ["grocery → meat", "24,600", "23,862"],
        ["meat → grocery", "100", "96"],
    ]
    nets = tables["Net positions by day"]
    assert [row[0] for row in nets] == ["day", "2017-01-01", "2017-01-02", "Σ"]
    assert nets[2][1 + list(names).index("grocery")] == "-2.469134"
    assert [row[-1] for row in nets[1:]] == ["0.000000"] * 3
    legs = {row[0]: row[1:] for row in tables["Settlement legs"]}
    assert legs[names["grocery"]] == ["2", "2.480000", "0.000000"]
    assert legs[names["meat"]] == ["2", "0.000000", "2.460000"]
    assert tables["Orders by day"][1] == ["2017-01-01", "1,005", "1,000", "5"]
    assert tables["Throughput by day"][1] == ["2017-01-01", "1,005", "2.500", "402.0"]
    assert tables["Refusals by reason"][1:] == [
        ["TRY_LATER", "5", "replayed purchases", ""],
        ["INCREMENT", "1", "half a block more", "yes"],
    ]


def test_the_page_tells_what_each_promotion_granted_and_what_each_funder_paid() -> None:
    html = page(figures(days=1))
    assert Page(html).tables["What each promotion cost whom"][1:] == [
        ["sunday-roast", "grocery → meat", "120", "400", "Meat Department", "60%", "0.720000"],
        ["sunday-roast", "grocery → meat", "", "", "Delicatessen", "40%", "0.480000"],
        [
            "five-a-day",
            "grocery → produce",
            "30",
            "50,000",
            "Produce Department",
            "50%",
            "0.120001",
        ],
        ["five-a-day", "grocery → produce", "", "", HUB_NAME, "50%", "0.119999"],
        ["Σ", "", "150", "", "", "", "1.440000"],
    ]
    assert "which gave 7 to silver and 3 to gold members" in html


def test_the_page_tells_what_a_link_kept_from_either_brand_and_who_approved_what() -> None:
    html = page(figures(days=1))
    tables = Page(html).tables
    assert tables["A member with a link"][1:] == [
        ["fuel", "fuel-card-7", "3", "never"],
        ["grocery", "grocery-card-7", "3", "never"],
    ]
    assert "fuel started the link and grocery confirmed it" in html
    assert tables["Who acted for the coalition"][1:] == [
        ["ActivateAgreement", "90", "ada", "ben", "was done"],
        ["CloseWindow", "7", "ada", "", "was done"],
        ["SetLimits", "1", "ada", "", "waits"],
    ]
    assert "90 times one operator made it and another approved" in html


def test_all_is_as_it_must_be_only_where_no_brand_saw_the_others_reference() -> None:
    as_expected = figures(days=1, totals=Totals((replace(day(), nets={}),)))
    assert as_expected.is_as_it_must_be
    told = replace(SIGHTS[0], learnt=1)
    mixed = replace(SIGHTS[0], shown=("fuel-card-7", "grocery-card-7"))
    for sight in (told, mixed, replace(SIGHTS[0], shown=())):
        assert not replace(as_expected, sights=(sight, SIGHTS[1])).is_as_it_must_be


def test_the_page_tells_how_each_brand_was_reached_and_how_the_backlog_rose_and_drained() -> None:
    html = page(figures())
    tables = Page(html).tables
    assert tables["The brands: Every kind of brand"][1:] == [
        ["Grocery Department", "fetches", "27", "27", "28", "0", "0.9 s"],
        ["Meat Department", "is called over gRPC, confirms", "177", "177", "1,186", "9", "4.8 s"],
    ]
    # What did not change is not told again, but for the end.
    assert tables["Every kind of brand"] == [
        ["second", "wait for meat", "of these in doubt", "wait for other brands"],
        ["-0.50", "0", "0", "0"],
        ["0.25", "22", "7", "3"],
        ["0.50", "22", "7", "0"],
        ["2.50", "54", "9", "1"],
        ["3.50", "8", "2", "0"],
        ["4.00", "0", "0", "0"],
        ["4.50", "0", "0", "0"],
    ]
    assert "was back after 3.0 s" in html
    assert "settled without 22 of them" in html
    assert all(each in html for each in ("stops answering", "killed", "at work again"))
    assert (OUTAGE.waiting_max, OUTAGE.in_doubt_max) == (54, 9)


def test_all_is_as_it_must_be_only_where_every_program_answered_all_that_it_was_told() -> None:
    assert figures().is_as_it_must_be
    silent = figures(reached=(REACHED[0], replace(REACHED[1], answered=176)))
    assert not silent.is_as_it_must_be
    assert "has not answered all that it was told" in page(silent)


def test_the_same_figures_give_the_same_bytes() -> None:
    assert page(figures()) == page(figures())


def test_hostile_text_is_shown_and_not_obeyed() -> None:
    mishaps = (Refusal(HOSTILE, "INCREMENT", HOSTILE, recorded=False),)
    totals = Totals((day(0, {HOSTILE: 1}),))
    html = page(figures(totals=totals, mishaps=mishaps, faults=(HOSTILE,)))
    read = Page(html)
    assert not {"script", "img"} & set(read.tags)
    assert read.tables["Refusals by reason"][2][:3] == [HOSTILE, "1", HOSTILE]


@pytest.mark.parametrize(
    "changed",
    [
        {"faults": ("grocery/receipts.jsonl: a receipt is missing",)},
        {"totals": Totals((replace(day(), nets={"grocery": 1}),))},
        {"sights": (replace(SIGHTS[0], learnt=2), SIGHTS[1])},
    ],
)
def test_a_fault_or_a_sum_that_is_not_0_is_told_instead_of_praise(
    changed: dict[str, Any],
) -> None:
    assert "Everything was verified" in page(figures())
    html = page(figures(**changed))
    assert "Everything was verified" not in html
    assert "Not everything is as it must be" in html


def test_a_day_without_an_order_or_a_refusal_has_a_page() -> None:
    nothing = Day(FIRST, 0, {}, {}, {}, {}, {}, 0.0)
    read = Page(page(figures(totals=Totals((nothing,)), mishaps=(), costs=())))
    assert read.headlines["Orders"] == "0"
    assert read.tags.count("svg") == 2 * 6


def test_a_year_is_shown_in_weeks_and_listed_by_day_below_2_megabytes() -> None:
    html = page(figures(days=364))
    tables = Page(html).tables
    assert len(html.encode()) < 2_000_000
    assert len(tables["Net positions by week"]) == 1 + 364 + 1
    assert len(spans(figures(days=364).totals)) == 52
    assert sum(span.totals.orders for span in spans(figures(days=364).totals)) == 364 * 1_005


def test_the_page_says_how_days_were_closed_and_what_a_brand_found_in_its_own_file() -> None:
    shown = Page(page(figures()))
    assert {"A line in dispute", "A brand's own file, reconciled"} <= shown.tables.keys()
    assert ["TIMING", "1", "1", "clears itself with the other day's file"] in shown.tables[
        "A brand's own file, reconciled"
    ]
    wrong = figures(reconciled=replace(RECONCILED, as_planted=False))
    assert not wrong.is_as_it_must_be
    assert "was not reconciled as it must be" in page(wrong)


def test_the_document_for_machines_is_json() -> None:
    document = json.loads(json_text(summary.document(figures())))
    assert document["reconciled"]["found"] == {"TIMING": 1}
    assert document["disputed"]["amount"] == "0.464000"
    assert document["papers"][0]["name"] == "usd-2017-01-07.statement.pdf"
