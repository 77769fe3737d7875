"""Numbers as people read them: 1.23 M rows/s, 4.56 ms, 78.9 MiB."""

import math

# Largest first; what is smaller than the last keeps it.
_SECONDS = [(1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")]
_BYTES = [(2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "bytes")]
_PREFIXES = [(1e9, "G"), (1e6, "M"), (1e3, "k"), (1, "")]


def scale(unit, value):
    """What to divide numbers of about this size by, and the unit to write behind them."""
    value = abs(value)
    if unit == "s":
        return next((step for step in _SECONDS if value >= step[0]), _SECONDS[0] if value == 0 else _SECONDS[-1])
    if unit == "bytes" or unit.startswith("bytes/"):
        divisor, name = next((step for step in _BYTES if value >= step[0]), _BYTES[-1])
        return divisor, name + unit.removeprefix("bytes")
    # Thousands are read as they are: 9,500 rows/s.
    divisor, prefix = (1, "") if value < 1e4 else next(step for step in _PREFIXES if value >= step[0])
    name = "" if unit == "count" else unit
    return divisor, f"{prefix} {name}".strip() if prefix else name


def digits(value):
    """Three of them that count."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    places = 2 - math.floor(math.log10(abs(value)))
    value = round(value, places)
    return f"{value:,.{max(0, min(places, 6))}f}"


def human(unit, value):
    """A number with its unit."""
    divisor, name = scale(unit, value)
    # Counted, not measured: all its digits count.
    if unit == "count" and divisor == 1 and value == int(value):
        return f"{value:,.0f}"
    return f"{digits(value / divisor)} {name}".strip()


def human_range(unit, value, low, high):
    """A number with its quartiles, in one unit."""
    divisor, _ = scale(unit, value)
    # Counts are often all the same.
    if low is None or high is None or low == high:
        return human(unit, value)
    return f"{human(unit, value)} ({digits(low / divisor)}–{digits(high / divisor)})"


def duration(seconds):
    """How long a run took."""
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
