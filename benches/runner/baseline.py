"""Builds that are kept, to compare later ones with."""

import json
import re
import shutil
import subprocess

from . import executable, machine
from .failure import Failure


def known(baselines):
    """The names of those that there are."""
    return sorted(file.parent.name for file in baselines.glob("*/baseline.json"))


def save(root, baselines, name, program):
    """Keeps a build under a name, instead of the one that had it."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise Failure(f"a baseline's name is letters, digits, '.', '-' and '_', not {name!r}")
    if not executable.knows_the_gate(program):
        raise Failure("this build cannot be compared: its benches are older than the comparison of builds")
    new = baselines / f".{name}.new"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    strip(program, new / "landfall")
    date = f"{machine.now():%Y-%m-%dT%H:%M:%SZ}"
    about = {"commit": machine.commit(root), "date": date, "rustc": machine.rustc(root)}
    (new / "baseline.json").write_text(json.dumps(about, indent=2) + "\n")
    folder = baselines / name
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)
    print(f"saved {about['commit']} as {name}; compare a later build with it by: benches/run --compare {name}")


def find(baselines, name):
    """The build of that name and what is known about it."""
    names = known(baselines)
    if name not in names:
        there_are = f"There are: {', '.join(names)}." if names else "There are none yet."
        raise Failure(
            f"no baseline {name!r}. {there_are} Make one from the commit to compare with: benches/run --save {name}"
        )
    folder = baselines / name
    return folder / "landfall", json.loads((folder / "baseline.json").read_text())


def strip(program, copy):
    """Copies a program, without what only a debugger reads, where there is something that can take it out."""
    shutil.copy(program, copy)
    if strip := shutil.which("strip"):
        # What cannot be stripped stays as it was copied.
        subprocess.run([strip, copy], stderr=subprocess.DEVNULL)
