"""Tests of benches/run; tests/bench_run runs them."""

from .command_line import TheCommandLine
from .gate import TheGate
from .numbers import AVerdict, Numbers, TheInterval
from .runs import ARun
from .servers import Servers

__all__ = ["ARun", "AVerdict", "Numbers", "Servers", "TheCommandLine", "TheGate", "TheInterval"]
