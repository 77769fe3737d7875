"""The program with all benches: how it is built, what it can measure."""

import json
import os
import subprocess
from pathlib import Path

from . import process
from .failure import Failure

# For tests of this script: a program to use instead of building one.
INSTEAD = "LANDFALL_BENCH_EXECUTABLE"

# What it knows about being judged is in its strings.
GATE = "LANDFALL_BENCH_GATE"


def is_given():
    """Whether nothing has to be built."""
    return bool(os.environ.get(INSTEAD))


def build(root):
    """Builds the program by cargo, returns where it is."""
    if is_given():
        return Path(os.environ[INSTEAD])
    command = ["cargo", "bench", "--locked", "--no-run", "--message-format=json-render-diagnostics"]
    print("building:", " ".join(command), flush=True)
    messages = bytearray()
    # Its progress and its errors are for the user; what it tells programs is for us.
    status = process.listen(command, messages.extend, cwd=root, stderr=None)
    if status:
        raise Failure(f"the build failed ({' '.join(command)})")
    for line in messages.splitlines():
        message = json.loads(line)
        target = message.get("target", {})
        if target.get("name") == "landfall" and "bench" in target.get("kind", []) and message.get("executable"):
            return Path(message["executable"])
    raise Failure("cargo built no bench named landfall")


def scenarios(root, executable):
    """The names of all that it can measure, in its order."""
    listed = subprocess.run([executable, "--bench", "--list"], cwd=root, capture_output=True, text=True)
    if listed.returncode:
        raise Failure(f"{executable} --bench --list failed:\n{listed.stderr.strip()}")
    names = (line.removesuffix(": benchmark") for line in listed.stdout.splitlines() if line.endswith(": benchmark"))
    return list(dict.fromkeys(names))


def groups(scenarios):
    """The first parts of the names, each once, with how many scenarios it has."""
    counts = {}
    for name in scenarios:
        group = name.split("/")[0]
        counts[group] = counts.get(group, 0) + 1
    return counts


def chosen(wanted, known):
    """The groups to run: all of them unless some are wanted."""
    unknown = [group for group in wanted if group not in known]
    if unknown:
        raise Failure(f"no such group: {', '.join(unknown)}. There are: {', '.join(known)}")
    return [group for group in known if group in wanted] if wanted else list(known)


def knows_the_gate(executable):
    """Whether it was built from a commit that can be compared."""
    return GATE.encode() in Path(executable).read_bytes()
