"""The report in Markdown: where it was measured, then a table for each group."""

from . import units
from .results import is_figure


def heading(about):
    """The machine, the commit, the date, the command: without them figures say nothing."""
    machine = about["machine"]
    memory = units.human("bytes", machine["memory"])
    return {
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {memory}, {machine['kernel']},"
                   f" load {machine['load']} at the beginning",
        "commit": about["commit"],
        "date": about["date"],
        "command": about["command"],
        "compiler": about["rustc"],
    }


def listed(about):
    """The heading as a list."""
    return [f"- {key}: `{text}`" if key == "command" else f"- {key}: {text}" for key, text in heading(about).items()]


def by_group(results):
    """The results of each group, in the order in which they came."""
    groups = {}
    for result in results:
        groups.setdefault(result.group, []).append(result)
    return groups


def cells(result):
    """A row of the table, for each of the columns."""
    beside = ratio = percentiles = bar = ""
    if result.beside:
        name, value = result.beside["name"], result.beside.get("value")
        beside = name if not is_figure(value) else f"{units.human(result.unit, value)}: {name}"
    if result.ratio:
        low, median, high = (units.digits(value) for value in result.ratio)
        ratio = f"{median} ({low}–{high})"
    if result.percentiles:
        # In one unit, that of the first.
        divisor, name = units.scale(result.unit, next(iter(result.percentiles.values())))
        said = (f"{key.upper()} {units.digits(value / divisor)}" for key, value in result.percentiles.items())
        percentiles = f"{', '.join(said)} {name}".strip()
    if result.bar:
        bar = f"{'met' if result.bar['met'] else 'MISSED'}: {result.bar['text']}"
    landfall = units.human_range(result.unit, result.value, result.low, result.high)
    return [result.label, landfall, beside, ratio, percentiles, result.note, bar]


COLUMNS = ["scenario", "Landfall", "beside", "ratio", "percentiles", "note", "bar"]


def table(results):
    """The names of the columns, and the rows; a column in which there is nothing is left out."""
    rows = [cells(result) for result in results]
    filled = [number for number in range(len(COLUMNS)) if any(row[number] for row in rows)]
    return [COLUMNS[number] for number in filled], [[row[number] for number in filled] for row in rows]


def of(run):
    """The whole file."""
    lines = ["# Benchmarks", ""]
    lines += listed(run.about)
    if run.partial:
        lines += ["", f"**PARTIAL.** {run.partial}."]
    lines += ["", "Medians, with the quartiles in parentheses. A ratio above 1 speaks for Landfall."]
    for group, results in by_group(run.results).items():
        seconds = run.about["groups"].get(group, {}).get("seconds")
        lines += ["", f"## {group}" + (f" ({units.duration(seconds)})" if seconds else ""), ""]
        columns, rows = table(results)
        lines += map(_row, [columns, ["---"] * len(columns), *rows])
    return "\n".join(lines) + "\n"


def _row(texts):
    # A bar in a text would begin a cell.
    return "| " + " | ".join(text.replace("|", "\\|") for text in texts) + " |"
