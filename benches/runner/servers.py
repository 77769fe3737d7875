"""The PostgreSQL and the MariaDB of a run, in temporary folders, stopped whatever happens."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from .failure import Failure
from .interruption import held_back

KINDS = ("postgres", "mysql")


def variable(kind):
    """Where the benches look for a server that is there already."""
    return f"LANDFALL_TEST_{kind.upper()}"


def to_start():
    """The servers that the environment does not name."""
    return [kind for kind in KINDS if not os.environ.get(variable(kind))]


class Servers:
    """Starts them on entry, stops them on exit; those that the environment names are used as they are.

    `file` remembers the folders, so that a later run can stop what a killed one left.
    """

    def __init__(self, root, file):
        self.root = root
        self.file = file
        self.environment = {}
        self.started = {}

    def __enter__(self):
        for kind in KINDS:
            named = os.environ.get(variable(kind))
            if named and not (Path(named) / "port").is_file():
                raise Failure(
                    f"{variable(kind)} is {named}, but there is no server: start it by `tests/{kind} start {named}`,"
                    f" or unset the variable and one is started for you"
                )
        try:
            for kind in to_start():
                with held_back():
                    self._start(kind)
        except BaseException:
            self._stop()
            raise
        return self.environment

    def __exit__(self, *_):
        self._stop()

    def _start(self, kind):
        # Not below target/: a socket's path is short, and the server's user has to reach it.
        folder = tempfile.mkdtemp(prefix="landfall-bench-")
        self.started[kind] = folder
        self._remember()
        print(f"starting {kind} in {folder}", flush=True)
        start = _script(self.root, kind, "start", folder)
        if start.returncode:
            raise Failure(f"no {kind} server:\n{start.stderr.strip()}")
        self.environment[variable(kind)] = folder

    def _stop(self):
        # A first Ctrl-C may come at the very end.
        with held_back():
            for kind, folder in list(self.started.items()):
                if stop(self.root, kind, folder):
                    del self.started[kind]
            self._remember()

    def _remember(self):
        if self.started:
            self.file.parent.mkdir(parents=True, exist_ok=True)
            self.file.write_text(json.dumps(self.started))
        else:
            self.file.unlink(missing_ok=True)


def stop(root, kind, folder):
    """Stops a server and removes its folder; says whether it is gone."""
    if not os.path.isdir(folder):
        return True
    stopped = _script(root, kind, "stop", folder)
    if stopped.returncode:
        print(f"benches/run: {kind} in {folder} was not stopped: {stopped.stderr.strip()}", flush=True)
        return False
    shutil.rmtree(folder, ignore_errors=True)
    return True


def stop_left(root, file):
    """Stops what a killed run left. To be called only by who holds the lock: then nobody uses them."""
    try:
        left = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return
    for kind, folder in left.items():
        print(f"benches/run: stopping the {kind} that a killed run left in {folder}", flush=True)
        if stop(root, kind, folder):
            left = {other: where for other, where in left.items() if other != kind}
    if left:
        raise Failure(f"these servers of a killed run could not be stopped: {left}; stop them, then remove {file}")
    file.unlink(missing_ok=True)


def _script(root, kind, verb, folder):
    # In a session of its own: Ctrl-C shall not end what stops a server.
    return subprocess.run(
        [root / "tests" / kind, verb, folder],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, start_new_session=True,
    )
