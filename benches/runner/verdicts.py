"""What a comparison found, as a table on the terminal and in Markdown."""

import math
import os
import sys

from . import units
from .gate import THRESHOLDS
from .summary import listed

COLUMNS = ["scenario", "kind", "by", "old", "new", "new/old", "interval", "rounds", "verdict"]


def wants_colours():
    """Whether somebody looks at it who did not ask for plain text (https://no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def cells(scenario):
    """A row of the table."""
    verdict = scenario.verdict()
    estimate = verdict.estimate
    old, new = (units.human("s", scenario.seconds(side)) for side in ("old", "new"))
    return [
        scenario.name, scenario.kind, estimate.measure, old, new, f"{estimate.ratio:.3f}", interval(estimate),
        str(len(scenario.old)), verdict.text,
    ]


def interval(estimate):
    """The bounds; none as long as there are too few rounds."""
    return f"{estimate.low:.3f}–{estimate.high:.3f}" if math.isfinite(estimate.high) else "too few rounds"


def notes(comparison):
    """What is to be said about it beside the table."""
    notes = [f"{name}: only the {side} build has it" for name, side in comparison.one_sided.items()]
    if comparison.plant:
        notes.append(f"the new build was slowed down on purpose: {comparison.plant}")
    if comparison.partial:
        notes.append("PARTIAL: ended before all were settled")
    return notes


def conclusion(comparison):
    """In one sentence."""
    slower = [scenario.name for scenario in measured(comparison) if scenario.verdict().regression]
    if slower:
        return f"regression: {', '.join(slower)}"
    return "no regression so far" if comparison.partial else "no regression"


def measured(comparison):
    """The scenarios of which there is something to show."""
    return [scenario for scenario in comparison.scenarios.values() if scenario.old]


def table(comparison, colours):
    """For the terminal."""
    scenarios = measured(comparison)
    rows = [COLUMNS] + [cells(scenario) for scenario in scenarios]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = [comparison.title, ""]
    for index, row in enumerate(rows):
        line = "  ".join(text.ljust(width) for text, width in zip(row, widths)).rstrip()
        if colours and index:
            verdict = scenarios[index - 1].verdict()
            colour = 31 if verdict.regression else 32 if verdict.settled else 33
            # The verdict is the last of the cells.
            line = f"{line[:-len(row[-1])]}\033[{colour}m{row[-1]}\033[0m"
        lines.append(line)
    return "\n".join([*lines, "", *notes(comparison), conclusion(comparison)])


def markdown(comparison):
    """For a pull request."""
    lines = [f"# {comparison.title}", ""]
    lines += listed(comparison.about)
    lines += ["", f"**{conclusion(comparison)}**", ""]
    limits = " or ".join(f"{limit:.3f} ({kind})" for kind, limit in THRESHOLDS.items())
    lines += [f"Time of the new build by that of the old one. Above {limits} it is a regression."]
    lines += ["", "| " + " | ".join(COLUMNS) + " |", "|" + " --- |" * len(COLUMNS)]
    lines += ["| " + " | ".join(cells(scenario)) + " |" for scenario in measured(comparison)]
    lines += [""] + [f"- {note}" for note in notes(comparison)]
    return "\n".join(lines).rstrip() + "\n"
