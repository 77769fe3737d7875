"""What has to be installed before anything can be measured."""

import os
import shutil
import subprocess

from .failure import Failure


def ensure(root, servers, cargo):
    """Installs what is missing as `tests/run` does on Debian and Ubuntu; elsewhere it says what to install."""
    if not _missing(root, servers, cargo):
        return
    # What it says goes to the terminal; what comes back is the path, on which it may have put cargo.
    install = subprocess.run(
        ["bash", "-c", 'set -euo pipefail; { . tests/install.sh; } >&2; printf %s "$PATH"'],
        cwd=root, stdout=subprocess.PIPE, text=True,
    )
    if install.returncode == 0:
        os.environ["PATH"] = install.stdout
    missing = _missing(root, servers, cargo)
    if missing:
        raise Failure("these are missing:\n  " + "\n  ".join(missing))


def _missing(root, servers, cargo):
    missing = []
    if cargo and not shutil.which("cargo"):
        missing.append("cargo: install Rust (https://rustup.rs)")
    if cargo and not shutil.which("cc"):
        missing.append("cc: install a C compiler; on Debian and Ubuntu: apt-get install gcc libc6-dev")
    for server in servers:
        asked = subprocess.run([root / "tests" / server, "bin"], capture_output=True, text=True)
        if asked.returncode:
            missing.append(asked.stderr.strip() or f"tests/{server} bin failed")
    return missing
