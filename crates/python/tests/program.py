"""Runs Python programs that the tests kill or interrupt."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

# The program prints a line after each batch, so that the test knows how far it is.
BATCHES = """
    import sys, time
    import pyarrow as pa
    import landfall

    schema = pa.schema({"id": pa.int64(), "v": pa.string()})

    def batches(count, rows=10_000, pause=0.0):
        for number in range(count):
            ids = range(number * rows, (number + 1) * rows)
            yield pa.record_batch({"id": ids, "v": [f"value {id}" for id in ids]}, schema)
            print(number, flush=True)
            time.sleep(pause)

    def stream(*arguments, **options):
        return pa.RecordBatchReader.from_batches(schema, batches(*arguments, **options))
"""


class Program:
    """A process that runs a text."""

    def __init__(self, text: str, *arguments: str) -> None:
        source = textwrap.dedent(BATCHES) + textwrap.dedent(text)
        self.process = subprocess.Popen(
            [sys.executable, "-c", source, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parent,
            # A group of its own: a signal reaches it alone.
            start_new_session=True,
        )

    def wait_for(self, line: str) -> None:
        """Reads its output up to a line."""
        assert self.process.stdout
        for found in self.process.stdout:
            if found.strip() == line:
                return
        raise AssertionError(f"it ended without {line!r}: {self.process.communicate()[1]}")

    def send(self, number: signal.Signals) -> None:
        os.kill(self.process.pid, number)

    def end(self, seconds: float = 60) -> tuple[int, str]:
        """Its exit status, and what it wrote on stderr."""
        try:
            _, errors = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise AssertionError(f"it did not end: {self.process.communicate()}") from None
        return self.process.returncode, errors
