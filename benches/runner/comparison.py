"""Runs an old and a new build in turns, until it is known of each scenario whether it got slower."""

import json
import os
import shutil
import sys
from pathlib import Path

from . import baseline, executable, folder, machine, page, process, verdicts
from .failure import Failure
from .gate import LOOKS, THRESHOLDS, Scenario
from .results import lines
from .servers import Servers


class Comparison:
    """Two builds, what they did so far, and where that is kept."""

    def __init__(self, root, bench, name, program, groups, plant, command):
        self.root = root
        self.groups = groups
        self.plant = plant
        old, self.old_about = baseline.find(bench / "baselines", name)
        if not executable.knows_the_gate(program):
            raise Failure("this build cannot be compared: its benches are older than the comparison of builds")
        date, commit = machine.now(), machine.commit(root)
        self.about = {
            "machine": machine.machine(), "date": f"{date:%Y-%m-%dT%H:%M:%SZ}", "commit": commit,
            "rustc": machine.rustc(root), "command": command,
        }
        self.title = f"{commit} against {name} ({self.old_about['commit']} of {self.old_about['date']})"
        self.folder = folder.make(bench / "comparisons", date, f"{commit}-against-{name}")
        self.built = {"old": old, "new": program}
        self.programs = {side: self.folder / side / "landfall" for side in self.built}
        self.scenarios = {}
        self.one_sided = {}
        self.partial = True

    def run(self, bench):
        """Measures and judges, returns the exit status."""
        try:
            self._copy()
            with Servers(self.root, bench / "servers.json") as servers:
                for number in range(1, max(LOOKS) + 1):
                    open_ones = self._open()
                    if number > 1 and not open_ones:
                        break
                    self._round(number, open_ones, servers)
            self.partial = False
        finally:
            for side in self.programs:
                shutil.rmtree(self.folder / side, ignore_errors=True)
            (self.folder / "gate.jsonl").unlink(missing_ok=True)
            if verdicts.measured(self):
                self._report()
            elif not any(self.folder.iterdir()):
                self.folder.rmdir()
        return int(any(scenario.verdict().regression for scenario in self.scenarios.values()))

    def _copy(self):
        """Both stripped, under paths of one length: even that can be felt, as it moves what lies behind it in memory.

        And whoever builds in the meantime does not change what is measured.
        """
        for side, program in self.programs.items():
            program.parent.mkdir()
            baseline.strip(self.built[side], program)

    def _open(self):
        return [name for name, scenario in self.scenarios.items() if not scenario.verdict().settled]

    def _round(self, number, names, servers):
        """Each build does what is not settled; who was second is first in the next round."""
        _progress(f"round {number} of at most {max(LOOKS)}, {len(names) or 'all'} scenarios")
        # The names are separated by commas: one that has a comma cannot be asked for alone.
        wanted = ",".join(names) if names and not any("," in name for name in names) else "all"
        times = {}
        for side in ("old", "new") if number % 2 else ("new", "old"):
            times[side] = self._times(number, side, wanted, servers)
        if number == 1:
            self._meet(times)
        for name, scenario in self.scenarios.items():
            if (name in names or number == 1) and name in times["old"] and name in times["new"]:
                scenario.add(times["old"][name]["seconds"], times["new"][name]["seconds"])

    def _times(self, number, side, wanted, servers):
        written = self.folder / "gate.jsonl"
        written.unlink(missing_ok=True)
        environment = os.environ | servers | {"LANDFALL_BENCH_RESULTS": str(written), executable.GATE: wanted}
        environment.pop("LANDFALL_BENCH_SLOWER", None)
        # What tells the builds apart are many rounds, not long ones.
        environment["LANDFALL_BENCH_QUICK"] = "1"
        if side == "new" and self.plant:
            environment["LANDFALL_BENCH_SLOWER"] = self.plant
        with open(self.folder / "output.txt", "ab") as output:
            output.write(f"== round {number}, {side}\n".encode())
            output.flush()
            status = process.listen([self.programs[side], "--bench"], output.write, cwd=self.root, env=environment)
        if status:
            said = (self.folder / "output.txt").read_text(errors="replace").splitlines()[-20:]
            raise Failure(f"the {side} build failed in round {number}:\n" + "\n".join(said))
        times = {line["gate"]: line for line in lines(written) if line.get("seconds")}
        if not times:
            raise Failure(f"the {side} build measured nothing to compare; see {self.folder / 'output.txt'}")
        with open(self.folder / "rounds.jsonl", "a") as rounds:
            for line in times.values():
                rounds.write(json.dumps({"round": number, "side": side} | line) + "\n")
        return times

    def _meet(self, times):
        """Finds the scenarios that both builds have."""
        names = list(times["new"] | times["old"])
        wanted = executable.chosen(self.groups, executable.groups(names))
        ours = [name for name in names if name.split("/")[0] in wanted]
        for name in ours:
            sides = [side for side in times if name in times[side]]
            if len(sides) == 1:
                self.one_sided[name] = sides[0]
                continue
            kind = times["new"][name]["kind"]
            if kind not in THRESHOLDS:
                raise Failure(f"{name} is {kind!r}, not one of {', '.join(THRESHOLDS)}")
            self.scenarios[name] = Scenario(name, kind)
        if not self.scenarios:
            raise Failure("the two builds have no scenario in common")
        if self.plant and self.plant.split("=")[0] not in self.scenarios:
            raise Failure(f"no scenario to slow down in {self.plant!r}. There are: {', '.join(self.scenarios)}")

    def _report(self):
        _progress("")
        print(verdicts.table(self, colours=verdicts.wants_colours()))
        (self.folder / "summary.md").write_text(verdicts.markdown(self))
        (self.folder / "report.html").write_text(page.of_comparison(self))
        print(f"\n  {self.folder / 'summary.md'}\n  {self.folder / 'report.html'}", flush=True)


def _progress(text):
    """One line that is written over on a terminal; elsewhere, lines."""
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def run(root, bench, name, program, groups, plant, command):
    """Compares a build with a baseline, returns the exit status."""
    return Comparison(Path(root), bench, name, program, groups, plant, command).run(bench)
