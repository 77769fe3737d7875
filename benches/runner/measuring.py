"""A run of the benchmarks: group by group, each in a process of its own, the reports anew after each."""

import os
import re
import subprocess
import sys
import time

from . import page, process, summary, units
from .failure import Failure
from .interruption import Interrupted
from .results import Run, runs
from .servers import Servers


# The group of other libraries, a program of its own that takes as long again to build.
PEERS = "peers"


def measure(root, bench, mode, groups, executable, command):
    """Measures the groups, returns the exit status."""
    began = time.monotonic()
    with Servers(root, bench / "servers.json") as servers:
        run = Run.begin(root, bench / "results", mode, groups, command)
        environment = os.environ | servers | {"LANDFALL_BENCH_RESULTS": str(run.lines_file)}
        # What criterion keeps goes with the rest.
        environment["CRITERION_HOME"] = str(bench / "criterion")
        environment.pop("LANDFALL_BENCH_QUICK", None)
        if mode == "quick":
            environment["LANDFALL_BENCH_QUICK"] = "1"
        try:
            for group in groups:
                _measure_group(root, run, group, executable, environment)
                write_reports(bench, run)
        except BaseException as error:
            write_reports(bench, run)
            if isinstance(error, Interrupted):
                print(f"\nPARTIAL results are in {run.folder}", flush=True)
            raise
    failed = [group for group, about in run.about["groups"].items() if about["state"] == "failed"]
    print(f"\nscenarios: {len(run.results)}, in {units.duration(time.monotonic() - began)}")
    print(f"  {run.folder / 'summary.md'}\n  {run.folder / 'report.html'}", flush=True)
    if failed:
        raise Failure(f"these groups failed, see {run.folder / 'output.txt'}: {', '.join(failed)}")
    return 0


def _measure_group(root, run, group, executable, environment):
    """A group that fails does not keep the others from being measured."""
    run.mark(group, "running")
    began = time.monotonic()
    with open(run.folder / "output.txt", "ab") as output:
        def sink(chunk):
            output.write(chunk)
            output.flush()
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()

        sink(f"== {group}\n".encode())
        command, stderr = [executable, "--bench", "--quiet", f"^{re.escape(group)}/"], output
        if group == PEERS:
            # They are built first, which is to be seen; criterion's chatter is not.
            command, stderr = [root / "benches" / "peers" / "run"], subprocess.STDOUT
        status = process.listen(command, sink, cwd=root, env=environment, stderr=stderr)
    if status:
        said = (run.folder / "output.txt").read_text(errors="replace").splitlines()[-20:]
        print("\n".join(said), file=sys.stderr, flush=True)
    run.mark(group, "failed" if status else "ended", time.monotonic() - began)


def write_reports(bench, run):
    """Makes summary.md and report.html of what is there."""
    (run.folder / "summary.md").write_text(summary.of(run))
    earlier = [other for other in runs(bench / "results") if other.folder != run.folder]
    (run.folder / "report.html").write_text(page.of(run, earlier))
