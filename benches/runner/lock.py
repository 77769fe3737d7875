"""One run at a time: two would measure each other."""

import fcntl
from contextlib import contextmanager

from .failure import Failure


@contextmanager
def only_one(folder):
    """Holds the lock of `folder` inside of the body. It goes with the process, even one that is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Failure("another benches/run is measuring in this checkout; two would disturb each other") from None
        yield
