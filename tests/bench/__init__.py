"""Tests of benches/run; tests/bench_run runs them."""

from .command_line import TheCommandLine
from .gate import TheGate
from .numbers import Numbers, TheInterval
from .runs import ARun
from .servers import Servers

__all__ = ["ARun", "Numbers", "Servers", "TheCommandLine", "TheGate", "TheInterval"]
