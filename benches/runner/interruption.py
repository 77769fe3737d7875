"""Ctrl-C, SIGTERM and a closed terminal, as one exception that comes once and not in the wrong moment."""

import signal
import sys
from contextlib import contextmanager


class Interrupted(BaseException):
    """Somebody wants this to end; what is running is to be ended and stopped on the way out."""


_raised = False
_waiting = False
_held_back = 0


def _on_signal(_number, _frame):
    global _raised, _waiting
    # Once is enough: a second Ctrl-C would end what stops the servers.
    if _raised:
        return
    if _held_back:
        if not _waiting:
            print("\nbenches/run: ends as soon as the servers have started or stopped", file=sys.stderr, flush=True)
        _waiting = True
        return
    _raised = True
    raise Interrupted


def catch():
    """Turns the signals into `Interrupted` from here on."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _on_signal)


@contextmanager
def held_back():
    """Lets the body end before `Interrupted` comes: a server that was started halfway could not be stopped."""
    global _held_back, _raised
    _held_back += 1
    try:
        yield
    finally:
        _held_back -= 1
        if _waiting and not _held_back and not _raised:
            _raised = True
            raise Interrupted
