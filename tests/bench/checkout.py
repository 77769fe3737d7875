"""A folder with benches/run, and with programs that pretend to be the benches and the servers."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from .pretending import PROGRAM, SERVER

ROOT = Path(__file__).resolve().parent.parent.parent


class Checkout:
    """A folder with benches/run, and with programs that pretend."""

    def __init__(self, folder):
        self.root = Path(folder)
        ignored = shutil.ignore_patterns("*.rs", "__pycache__")
        shutil.copytree(ROOT / "benches", self.root / "benches", ignore=ignored)
        (self.root / "tests").mkdir()
        for server in ("postgres", "mysql"):
            self.write(f"tests/{server}", SERVER)
        self.write("tests/install.sh", "echo 'installing' >&2\n")
        self.program("program")

    def write(self, name, text):
        file = self.root / name
        file.write_text(text)
        file.chmod(0o755)
        return file

    def program(self, name, seed=1, extra=()):
        """What benches/run shall take for the program with the benches."""
        text = PROGRAM.format(python=sys.executable, folder=str(self.root), seed=seed, extra=dict(extra))
        self.executable = self.write(name, text)

    def start(self, *arguments, **options):
        environment = {key: text for key, text in os.environ.items() if not key.startswith("LANDFALL_")}
        environment |= {"LANDFALL_BENCH_EXECUTABLE": str(self.executable)} | options.pop("env", {})
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
        return subprocess.Popen([self.root / "benches" / "run", *arguments], env=environment, text=True, **options)

    def run(self, *arguments, **options):
        """The exit status, and what it printed."""
        process = self.start(*arguments, **options)
        out, err = process.communicate()
        return process.returncode, out + err

    def log(self, server):
        """What a server was told, without the questions where its programs are."""
        file = self.root / "tests" / f"{server}.log"
        return [verb for verb in file.read_text().split() if verb != "bin"] if file.exists() else []

    def the_run(self):
        """The folder of the only run."""
        (folder,) = (self.root / "target/bench/results").iterdir()
        return folder

    def wait_for(self, name):
        for _ in range(500):
            if (self.root / name).exists():
                return
            time.sleep(0.02)
        raise AssertionError(f"{name} did not come")


class InACheckout(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="bench-run-")
        self.addCleanup(folder.cleanup)
        self.checkout = Checkout(folder.name)

    def assert_servers_were_stopped(self):
        for server in ("postgres", "mysql"):
            self.assertEqual(self.checkout.log(server), ["start", "stop"])
        self.assertFalse((self.checkout.root / "target/bench/servers.json").exists())
