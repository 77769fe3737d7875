"""A job that is killed twice, and stores each row once.

python examples/python/resume_after_kill.py [URL]
"""

import os
import signal
import subprocess
import sys
import threading
import time

import pyarrow

import landfall

ROWS = 300_000
url = sys.argv[1] if len(sys.argv) > 1 else "sqlite:squares.db"


def load(seconds: float | None) -> None:
    """Loads the table. With a number of seconds, the process is killed after them, as by `kill -9`."""
    if seconds is not None:
        kill = lambda: time.sleep(seconds) or os.kill(os.getpid(), signal.SIGKILL)
        threading.Thread(target=kill, daemon=True).start()
    squares = pyarrow.table({"id": range(ROWS), "square": [number * number for number in range(ROWS)]})
    result = landfall.write(
        squares, url, "python_squares", mode="create_or_append", key="id", job="squares", checkpoint_rows=20_000
    )
    print(f"{result.rows + result.resumed} rows, {result.resumed} of them by earlier runs", flush=True)


if len(sys.argv) > 2:
    load(float(sys.argv[2]) if sys.argv[2] else None)
    sys.exit()

for seconds in ["0.4", "0.6", ""]:
    run = subprocess.run([sys.executable, __file__, url, seconds])
    print("killed" if run.returncode == -signal.SIGKILL else f"ended with {run.returncode}", flush=True)
    if run.returncode == 0:
        break

[job] = [job for job in landfall.status(url).jobs if job.name == "squares"]
print(job)
assert (job.state, job.rows) == ("finished", ROWS)
