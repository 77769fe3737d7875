"""The program `landfall`."""

import signal
import sys

from . import _landfall


def main() -> None:
    """Runs the program with the arguments of this process."""
    # It handles signals itself.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    sys.exit(_landfall.main(["landfall", *sys.argv[1:]]))
