"""The program that the package installs."""

import subprocess
import sys

PROGRAM = [sys.executable, "-c", "from landfall._program import main; main()"]


def _run(*arguments):
    return subprocess.run([*PROGRAM, *arguments], capture_output=True, text=True, timeout=60)


def test_the_program_runs_with_the_exit_status_of_its_commands(tmp_path):
    version = _run("--version")
    assert version.returncode == 0 and version.stdout.startswith("landfall ")
    (tmp_path / "a.csv").write_text("id,name\n1,Ada\n")
    url = f"sqlite:{tmp_path / 'a.db'}"
    load = _run("load", str(tmp_path / "a.csv"), url, "people", "--mode", "create", "--job", "j")
    assert load.returncode == 0, load.stderr
    again = _run("load", str(tmp_path / "a.csv"), url, "people", "--job", "j", "--mode", "create-or-append")
    assert "job 'j'" in again.stderr
    assert "people" in _run("status", url).stdout
    failed = _run("sql", "-c", "SELEC 1")
    assert failed.returncode == 1 and "error:" in failed.stderr
    assert _run("nothing").returncode == 2
