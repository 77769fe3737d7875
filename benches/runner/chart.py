"""Charts as SVG, drawn by hand: the page has to open without a network, and for years."""

import math
from html import escape

from . import units
from .results import is_figure

WIDTH = 940
LABEL = 345
RIGHT = 190
ROW = 20


class Canvas:
    """What is drawn, and how high it is. Colours are the page's: it has two sets of them."""

    def __init__(self, height, width=WIDTH):
        self.height = height
        self.width = width
        self.parts = []

    def text(self, x, y, text, anchor="start", kind=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>')

    def line(self, x1, y1, x2, y2, kind):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="{kind}"/>')

    def bar(self, x, y, width, height, kind, title):
        self.parts.append(
            f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height}" rx="2" class="{kind}">'
            f"<title>{escape(title)}</title></rect>"
        )

    def dot(self, x, y, kind, title, radius=4.5):
        self.parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}" class="{kind}"><title>{escape(title)}</title></circle>'
        )

    def path(self, points, kind):
        self.parts.append(f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in points)}" class="{kind}"/>')

    def label(self, y, text):
        """The name of a row; where it is too long, its end is what tells it from others."""
        most = int((LABEL - 10) / 6.4)
        shown = text if len(text) <= most else "…" + text[1 - most :]
        self.parts.append(
            f'<text x="{LABEL - 10}" y="{y:.1f}" text-anchor="end">{escape(shown)}<title>{escape(text)}</title></text>'
        )

    def svg(self):
        return (
            f'<svg viewBox="0 0 {self.width} {self.height:.0f}" width="{self.width}" role="img">'
            f'{"".join(self.parts)}</svg>'
        )


class Logarithmic:
    """Places numbers of very different size between two ends."""

    def __init__(self, values, left, right):
        values = [value for value in values if value > 0] or [1]
        self.first = math.floor(math.log10(min(values)))
        self.last = max(math.ceil(math.log10(max(values))), self.first + 1)
        self.left, self.right = left, right

    def __call__(self, value):
        part = (math.log10(max(value, 10**self.first)) - self.first) / (self.last - self.first)
        return self.left + part * (self.right - self.left)

    @property
    def ticks(self):
        """The powers of ten."""
        return [10.0**power for power in range(self.first, self.last + 1)]


def bars(results):
    """Landfall's bar above the one of what it was measured beside; all of one unit."""
    unit = results[0].unit
    most = max(max(result.value, result.high or 0, _beside(result) or 0) for result in results) or 1
    heights = [ROW * 2 + 8 if _beside(result) is not None else ROW + 8 for result in results]
    canvas, y = Canvas(sum(heights)), 4
    space = WIDTH - LABEL - RIGHT - 50
    for result, height in zip(results, heights):
        canvas.label(y + 14, result.label)
        ratio = f"  ×{units.digits(result.ratio[1])}" if result.ratio else ""
        width = result.value / most * space
        canvas.bar(LABEL, y, width, 16, "ours", f"Landfall {units.human(unit, result.value)}")
        if result.low is not None and result.high is not None:
            low, high = (LABEL + value / most * space for value in (result.low, result.high))
            canvas.line(low, y + 8, high, y + 8, "whisker")
            width = max(width, high - LABEL)
        canvas.text(LABEL + width + 8, y + 13, f"{units.human(unit, result.value)}{ratio}", kind="strong")
        if _beside(result) is not None:
            width = _beside(result) / most * space
            name = result.beside["name"]
            canvas.bar(LABEL, y + ROW, width, 16, "beside", f"{name} {units.human(unit, _beside(result))}")
            said = f"{units.human(unit, _beside(result))}: {name}"
            # The bar's end leaves room for about a character every 6.4 units.
            room = int((WIDTH - LABEL - width - 12) / 6.4)
            shown = said if len(said) <= room else said[: room - 1] + "…"
            canvas.text(LABEL + width + 8, y + ROW + 13, shown, kind="quiet")
        y += height
    return canvas.svg()


def _beside(result):
    return result.beside["value"] if result.beside and is_figure(result.beside.get("value")) else None


def percentiles(results):
    """A line from the first percentile to the last, for each scenario; all of one unit."""
    unit = results[0].unit
    values = [value for result in results for value in result.percentiles.values()]
    canvas = Canvas(len(results) * 26 + 28)
    x = Logarithmic(values, LABEL + 6, WIDTH - RIGHT - 6)
    bottom = len(results) * 26 + 4
    for tick in x.ticks:
        canvas.line(x(tick), 0, x(tick), bottom, "grid")
        divisor, name = units.scale(unit, tick * 1.0000001)
        canvas.text(x(tick), bottom + 16, f"{tick / divisor:,.6g} {name}", "middle", "quiet")
    for index, result in enumerate(results):
        y = index * 26 + 14
        points = [x(value) for value in result.percentiles.values()]
        canvas.label(y + 4, result.label)
        canvas.line(min(points), y, max(points), y, "span")
        for (key, value), point in zip(result.percentiles.items(), points):
            canvas.dot(point, y, key, f"{key.upper()} {units.human(unit, value)}")
        said = " / ".join(units.human(unit, value) for value in result.percentiles.values())
        canvas.text(WIDTH - RIGHT + 8, y + 4, said, kind="small")
    return canvas.svg()


def scaling(lines, unit):
    """A line for each name: how a figure grows with the writers. `lines` has lists of (writers, value)."""
    counts = sorted({count for points in lines.values() for count, _ in points})
    most = max(value for points in lines.values() for _, value in points) or 1
    step = _step(most)
    most = step * math.ceil(most / step)
    left, right, top, bottom = 110, WIDTH - 40, 14, 240
    # Evenly, as their numbers are doubled from one to the next.
    x = {count: left + (right - left) * (index + 0.5) / len(counts) for index, count in enumerate(counts)}
    canvas = Canvas(bottom + 28)
    divisor, name = units.scale(unit, most)
    for part in range(round(most / step) + 1):
        y = bottom - (bottom - top) * part * step / most
        canvas.line(left, y, right, y, "grid")
        canvas.text(left - 8, y + 4, f"{part * step / divisor:,.6g} {name}", "end", "quiet")
    for count in counts:
        canvas.text(x[count], bottom + 18, f"{count} writer{'s' if count != 1 else ''}", "middle", "quiet")
    for index, (name, points) in enumerate(lines.items()):
        placed = [(x[count], bottom - (bottom - top) * value / most) for count, value in sorted(points)]
        canvas.path(placed, f"line series{index % 6}")
        for (px, py), (count, value) in zip(placed, sorted(points)):
            canvas.dot(px, py, f"series{index % 6}", f"{name}, {count}: {units.human(unit, value)}")
    return canvas.svg()


def _step(most):
    """A round number, of which three to seven reach up to the largest figure."""
    power = 10 ** math.floor(math.log10(most / 3))
    return next(power * factor for factor in (1, 2, 5, 10) if most / (power * factor) <= 6)


def history(points, unit):
    """A small line over time. `points` has (date, commit, value), the oldest first."""
    width, height = 280, 64
    canvas = Canvas(height, width)
    values = [value for _, _, value in points]
    least, most = min(values), max(values)
    # A flat line lies in the middle; and a tenth is not to look like a doubling.
    room = max(most - least, 0.2 * most) or 1
    middle = (least + most) / 2
    placed = []
    for index, (_, _, value) in enumerate(points):
        x = 8 + (width - 16) * (index / (len(points) - 1) if len(points) > 1 else 0.5)
        placed.append((x, height / 2 - (value - middle) / room * (height - 20)))
    canvas.path(placed, "line series0")
    for (x, y), (date, commit, value) in zip(placed, points):
        canvas.dot(x, y, "series0", f"{date} {commit}: {units.human(unit, value)}", 3)
    return canvas.svg()


def intervals(scenarios):
    """For each scenario of a comparison, between which ratios new/old lies, and what it may not lie beyond."""
    verdicts = [(scenario, scenario.verdict()) for scenario in scenarios]
    bounds = [0.9, 1.2]
    for _, verdict in verdicts:
        one = verdict.estimate
        bounds += [bound for bound in (one.low, one.ratio, one.high) if 0 < bound < math.inf]
    first, last = max(min(bounds), 0.3), min(max(bounds), 3)
    left, right = LABEL + 10, WIDTH - RIGHT

    def x(ratio):
        part = (math.log(ratio) - math.log(first)) / (math.log(last) - math.log(first)) if ratio > 0 else 0
        return left + min(max(part, 0), 1) * (right - left)

    bottom = len(scenarios) * 26 + 4
    canvas = Canvas(bottom + 24)
    canvas.line(x(1), 0, x(1), bottom, "axis")
    canvas.text(x(1), bottom + 16, "as fast as before", "middle", "quiet")
    for index, (scenario, verdict) in enumerate(verdicts):
        y, one = index * 26 + 14, verdict.estimate
        kind = "bad" if verdict.regression else "good" if verdict.settled else "open"
        canvas.label(y + 4, scenario.name)
        canvas.line(x(scenario.threshold), y - 10, x(scenario.threshold), y + 10, "limit")
        canvas.line(x(one.low), y, x(one.high), y, f"span {kind}")
        canvas.dot(x(one.ratio), y, kind, f"{one.ratio:.3f} ({one.low:.3f}–{one.high:.3f})")
        canvas.text(right + 10, y + 4, f"{one.ratio:.3f}  {verdict.text.split(',')[0]}", kind="small")
    return canvas.svg()
