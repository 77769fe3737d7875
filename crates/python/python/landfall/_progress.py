"""The progress of a write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple


class Progress(NamedTuple):
    """The progress of a write."""

    rows: int
    """Rows that this call has sent to the database."""
    resumed: int
    """Rows that earlier runs of the job committed."""
    commits: int
    """Commits so far. A write with checkpoints has several."""
    seconds: float
    """Seconds since the call."""


@contextmanager
def callback(progress: bool | Callable[[Progress], Any] | None) -> Iterator[Callable[..., Any] | None]:
    """A function that takes the parts of a `Progress`; None without progress."""
    if not progress:
        yield None
    elif progress is True:
        lines = _Lines()
        try:
            yield lambda *parts: lines.show(Progress(*parts))
        finally:
            lines.end()
    else:
        yield lambda *parts: progress(Progress(*parts))


class _Lines:
    """One line on stderr, written again and again: in a terminal and in a notebook."""

    def __init__(self) -> None:
        self._width = 0

    def show(self, progress: Progress) -> None:
        rows, resumed, commits, seconds = progress
        # The first lines of a short write would only flicker.
        if seconds < 0.5:
            return
        line = f"{resumed + rows:,} rows, {rows / seconds:,.0f} rows/s, {seconds:.0f} s"
        if resumed:
            line += f", resumed after {resumed:,} rows"
        if commits > 1:
            line += f", {commits:,} checkpoints"
        sys.stderr.write("\r" + line.ljust(self._width))
        sys.stderr.flush()
        self._width = len(line)

    def end(self) -> None:
        if self._width:
            sys.stderr.write("\n")
            sys.stderr.flush()
