"""Tests by kind: unit, property, integration, acceptance and fuzz; benchmarks in bench."""

import os

# Before gRPC is imported: tests start the database's programs from processes in which it has
# threads, and its handlers of a fork have crashed the child before it became the other program.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
