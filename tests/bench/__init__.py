"""Benchmarks: `python -m tests.bench`, which `make bench` runs. They measure and assert no time.

Absolute figures depend on the machine and its neighbours, so what is compared is measured in turn,
A B A B ..., and the figure to look at is the median ratio with its spread.

Modules: `__main__` (the command line), `course` (what is measured, in which order), `measures` (the
arithmetic), `coalition` (partners, agreements and orders), `client` and `load` (the client process
and its starter), `echo`, `floor` and `pgbench` (the baselines), `storage` (bytes and memory),
`processes`.
"""
