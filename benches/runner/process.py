"""A program that is run, listened to, and not left behind."""

import os
import signal
import subprocess

# Seconds that a program has to end by itself when it is asked to.
PATIENCE = 5


def listen(command, sink, cwd=None, env=None, stderr=subprocess.STDOUT):
    """Runs a program, gives `sink` the bytes that it prints as they come, returns its exit status."""
    # In a session of its own: Ctrl-C shall reach it through us, and with it all that it started.
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=stderr,
        start_new_session=True,
    )
    try:
        while chunk := os.read(process.stdout.fileno(), 65536):
            sink(chunk)
        return process.wait()
    finally:
        _end(process)
        process.stdout.close()


def _end(process):
    if process.returncode is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            pass
        try:
            process.wait(PATIENCE)
            return
        except subprocess.TimeoutExpired:
            continue
