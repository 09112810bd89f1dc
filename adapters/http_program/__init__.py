"""Brands' systems that speak JSON over HTTPS: what a brand implements is docs/http-program.md."""

from adapters.http_program.connection import Endpoint, connect
from adapters.http_program.program import HttpProgram

__all__ = ["Endpoint", "HttpProgram", "connect"]
