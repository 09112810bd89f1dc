"""The sequencer's hands in the database: loads what a batch is decided against, writes what it came
to.

`session` begins and commits, `rows` turns a batch into the rows that its commit writes, and
`effects` writes what is rare. Each other module loads one subject and writes what changes of it.

All functions take the sequencer's psycopg2 connection; those that load or write come between
`begin` and `commit`. SQL is in `ledger/sequencer.sql`.
"""
