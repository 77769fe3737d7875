"""Where and from what something was measured; a figure without it says nothing."""

import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path


def machine():
    """The processor, its cores, the memory in bytes, the kernel."""
    return {
        "cpu": _line_of("/proc/cpuinfo", "model name") or platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "memory": int((_line_of("/proc/meminfo", "MemTotal") or "0 kB").split()[0]) * 1024,
        "kernel": f"{platform.system()} {platform.release()}",
        # Above the number of cores somebody else was at work.
        "load": round(os.getloadavg()[0], 2),
    }


def now():
    """The time in UTC, to the second."""
    return datetime.now(timezone.utc).replace(microsecond=0)


def commit(root):
    """The short commit, with `-dirty` behind it if the checkout holds more than that."""
    head = _output(root, "git", "rev-parse", "--short", "HEAD")
    if not head:
        return "no-commit"
    return f"{head}-dirty" if _output(root, "git", "status", "--porcelain") else head


def rustc(root):
    """The compiler's version."""
    return _output(root, "rustc", "--version") or "unknown"


def _output(root, *command):
    try:
        return subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def _line_of(file, key):
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith(key)), None)
