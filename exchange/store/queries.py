"""The queries of the sequencer, in `ledger/sequencer.sql`."""

from pathlib import Path

from partners.queries import load_queries

LEDGER = Path(__file__).parents[1] / "ledger"


QUERIES = load_queries(LEDGER / "sequencer.sql")
