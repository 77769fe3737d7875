"""What ends a command with a message instead of a traceback."""


class Failure(Exception):
    """Something the user can do something about; the message says what."""
