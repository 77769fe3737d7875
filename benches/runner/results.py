"""What a run measured, in its folder: run.json, results.jsonl, output.txt, and the reports made of them."""

import json
import math
import re
from dataclasses import dataclass, field
from pathlib import Path

from . import folder, machine

PERCENTILES = ("p50", "p95", "p99")


@dataclass
class Result:
    """One scenario: the median and the quartiles, and whatever it was measured beside."""

    name: str
    unit: str
    better: str
    value: float
    low: float | None = None
    high: float | None = None
    percentiles: dict = field(default_factory=dict)
    beside: dict | None = None
    ratio: list | None = None
    bar: dict | None = None
    note: str = ""

    @classmethod
    def of(cls, line):
        """From the object that the program wrote."""
        percentiles = {key: line[key] for key in PERCENTILES if is_figure(line.get(key))}
        optional = {key: line[key] for key in ("beside", "bar", "note") if line.get(key)}
        optional |= {key: line[key] for key in ("low", "high") if is_figure(line.get(key))}
        if line.get("ratio") and all(map(is_figure, line["ratio"])):
            optional["ratio"] = line["ratio"]
        return cls(line["name"], line["unit"], line["better"], line["value"], percentiles=percentiles, **optional)

    @property
    def group(self):
        """The first part of the name."""
        return self.name.split("/")[0]

    @property
    def label(self):
        """The name inside of its group."""
        return self.name.split("/", 1)[-1]

    @property
    def writers(self):
        """What it measures and by how many writers, if that is how its name ends."""
        match = re.fullmatch(r"(.*?)[/, _-]*(\d+)[ _]writers?", self.name)
        return (match[1], int(match[2])) if match else None


class Run:
    """A folder of results. What is in it is whole after every group, so that nothing is lost with the process."""

    def __init__(self, folder, about):
        self.folder = Path(folder)
        self.about = about

    @classmethod
    def begin(cls, root, results, mode, groups, command):
        """Makes the folder of a new run."""
        date, commit = machine.now(), machine.commit(root)
        run = cls(folder.make(results, date, commit), {
            "machine": machine.machine(), "date": f"{date:%Y-%m-%dT%H:%M:%SZ}", "commit": commit,
            "rustc": machine.rustc(root), "command": command, "mode": mode, "finished": False,
            "groups": {group: {"state": "waiting"} for group in groups},
        })
        run.lines_file.touch()
        run.save()
        return run

    @classmethod
    def load(cls, folder):
        """Reads a folder; what is not there, or cut off, is left out."""
        return cls(folder, json.loads((folder / "run.json").read_text()))

    @property
    def lines_file(self):
        """Where the program writes."""
        return self.folder / "results.jsonl"

    @property
    def results(self):
        """All that was measured, by name; measured twice, the later one."""
        measured = (line for line in lines(self.lines_file) if "name" in line and is_figure(line.get("value")))
        return list({line["name"]: Result.of(line) for line in measured}.values())

    @property
    def partial(self):
        """What is missing and why, as a sentence; nothing if nothing is."""
        if self.about["finished"]:
            return None
        by_state = {}
        for group, about in self.about["groups"].items():
            by_state.setdefault(about["state"], []).append(group)
        said = {"ended": "ended", "failed": "failed", "running": "interrupted in its middle", "waiting": "not begun"}
        return "; ".join(f"{text}: {', '.join(by_state[state])}" for state, text in said.items() if state in by_state)

    def mark(self, group, state, seconds=None):
        """Notes how far a group is."""
        self.about["groups"][group] = {"state": state} | ({} if seconds is None else {"seconds": round(seconds, 1)})
        self.about["finished"] = all(about["state"] == "ended" for about in self.about["groups"].values())
        self.save()

    def save(self):
        """Writes run.json, in one step."""
        new = self.folder / "run.json.new"
        new.write_text(json.dumps(self.about, indent=2) + "\n")
        new.replace(self.folder / "run.json")


def is_figure(value):
    """Whether it is a number. By nothing divided, one is written as null."""
    return isinstance(value, int | float) and math.isfinite(value)


def lines(file):
    """The objects in a file of JSON lines. The last may be cut off, where its writer was ended."""
    for line in file.read_text().splitlines() if file.exists() else []:
        try:
            value = json.loads(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            yield value


def runs(results):
    """All runs that are kept, the oldest first."""
    found = [Run.load(file.parent) for file in results.glob("*/run.json")]
    return sorted(found, key=lambda run: run.about["date"])
