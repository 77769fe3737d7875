"""The report as one page that needs nothing else: no network, no script."""

from html import escape

from . import chart, summary, units, verdicts
from .style import CSS


def of(run, earlier):
    """The page of a run; `earlier` are the other runs that are kept."""
    results = run.results
    sections = [
        ("throughput", "Throughput", _throughput(results)),
        ("latency", "Latency", _latency(results)),
        ("writers", "Scaling by writers", _writers(results)),
        ("history", "History", _history(run, earlier)),
        ("table", "All figures", _table(run, results)),
    ]
    sections = [(anchor, title, body) for anchor, title, body in sections if body]
    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in sections)
    banner = ""
    if run.partial:
        banner = f'<div class="card banner"><b>PARTIAL.</b> {escape(run.partial)}.</div>'
    body = "".join(f'<h2 id="{anchor}">{title}</h2>{body}' for anchor, title, body in sections)
    head = f"{banner}{_heading(run.about)}{_tiles(run, results)}<nav>{links}</nav>"
    return _document(f"Landfall benchmarks, {run.about['commit']}", "Landfall benchmarks", head + body)


def of_comparison(comparison):
    """The page of a comparison of two builds."""
    scenarios = verdicts.measured(comparison)
    kind = "bad" if any(scenario.verdict().regression for scenario in scenarios) else "good"
    rows = "".join(_row("td", verdicts.cells(scenario)) for scenario in scenarios)
    notes = "".join(f"<p>{escape(note)}</p>" for note in verdicts.notes(comparison))
    body = (
        f'<div class="card banner {kind}"><b>{escape(verdicts.conclusion(comparison))}</b>{notes}</div>'
        f"{_heading(comparison.about)}<h2>New by old</h2>"
        '<p class="quiet">How many times as long the new build takes, and between which bounds that lies. It is a '
        "regression if all of the interval lies beyond the dashed mark.</p>"
        f'<div class="card">{chart.intervals(scenarios)}</div>'
        f'<h2>All figures</h2><div class="table"><table>{_row("th", verdicts.COLUMNS)}{rows}</table></div>'
    )
    return _document(comparison.title, f"Landfall: {comparison.title}", body)


def _document(title, heading, body):
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{CSS}</style></head>\n"
        f"<body><h1>{escape(heading)}</h1>\n{body}\n</body></html>\n"
    )


def _heading(about):
    def said(key, text):
        return f"<code>{escape(text)}</code>" if key == "command" else escape(text)

    rows = "".join(f"<dt>{key}</dt><dd>{said(key, text)}</dd>" for key, text in summary.heading(about).items())
    return f"<dl>{rows}</dl>"


def _tiles(run, results):
    bars = [result.bar["met"] for result in results if result.bar]
    tiles = [(len(results), "scenarios", ""), (len(run.about["groups"]), "groups", "")]
    if bars:
        tiles.append((sum(bars), "bars met", "good"))
        missed = len(bars) - sum(bars)
        tiles.append((missed, "bars missed", "bad" if missed else ""))
    seconds = sum(about.get("seconds", 0) for about in run.about["groups"].values())
    tiles.append((units.duration(seconds), f"of measuring, {run.about['mode']}", ""))
    shown = "".join(f'<div class="tile"><b class="{kind}">{value}</b>{text}</div>' for value, text, kind in tiles)
    return f'<div class="tiles">{shown}</div>'


def _key(entries):
    """What the colours mean."""
    spots = (f'<i style="background:var(--{colour})"></i>{escape(text)}' for colour, text in entries)
    return f'<p class="key">{"".join(f"<span>{spot}</span>" for spot in spots)}</p>'


def _charts(results, draw):
    """A chart for each group, and in it for each unit: figures of different units share no scale."""
    charts = ""
    for group, of_group in summary.by_group(results).items():
        by_unit = {}
        for result in of_group:
            by_unit.setdefault(result.unit, []).append(result)
        for unit, of_unit in by_unit.items():
            name = group if len(by_unit) == 1 else f"{group}, {unit}"
            charts += f'<h3>{escape(name)}</h3><div class="card">{draw(of_unit)}</div>'
    return charts


def _throughput(results):
    rates = [result for result in results if result.unit.endswith("/s")]
    if not rates:
        return ""
    key = _key([("ours", "Landfall, with its quartiles"), ("beside", "what it was measured beside, in turns")])
    return f'{key}<p class="quiet">Longer is faster. × is Landfall by the other.</p>{_charts(rates, chart.bars)}'


def _latency(results):
    latencies = [result for result in results if result.percentiles]
    if not latencies:
        return ""
    key = _key([("s0", "P50: half takes no longer"), ("s1", "P95"), ("s4", "P99")])
    note = '<p class="quiet">The scale is logarithmic: from one line to the next is ten times as long.</p>'
    return f"{key}{note}{_charts(latencies, chart.percentiles)}"


def _writers(results):
    by_unit = {}
    for result in results:
        if result.writers:
            name, count = result.writers
            by_unit.setdefault(result.unit, {}).setdefault(name, []).append((count, result.value))
    charts = ""
    for unit, lines in by_unit.items():
        key = _key([(f"s{index % 6}", name) for index, name in enumerate(lines)])
        charts += f'<div class="card">{key}{chart.scaling(lines, unit)}</div>'
    return charts


def _history(run, earlier):
    """Only runs of the same size on the same processor: others would show what changed beside the code."""
    def alike(other):
        return other.about["mode"] == run.about["mode"] and other.about["machine"]["cpu"] == run.about["machine"]["cpu"]

    runs = [other for other in earlier if alike(other) and other.about["date"] <= run.about["date"]]
    runs.append(run)
    if len(runs) == 1:
        return '<p class="quiet">No earlier run of this kind is kept here; later ones show how the figures change.</p>'
    values = {}
    for other in runs:
        for result in other.results:
            values.setdefault((result.name, result.unit), []).append(
                (other.about["date"], other.about["commit"], result.value)
            )
    shown = ""
    for group, results in summary.by_group(run.results).items():
        figures = "".join(_development(result, values[result.name, result.unit]) for result in results)
        group = f"<summary>{escape(group)}</summary>"
        shown += f'<details class="card" open>{group}<div class="grid">{figures}</div></details>'
    mode = escape(run.about["mode"])
    return f'<p class="quiet">{len(runs)} runs in mode {mode} on this processor, by date.</p>{shown}'


def _development(result, points):
    change = ""
    if len(points) > 1 and points[0][2]:
        percent = (points[-1][2] / points[0][2] - 1) * 100
        # Colour only what is more than noise, and by what is better here.
        better = (percent > 0) == (result.better == "higher")
        kind = "" if abs(percent) < 10 else "good" if better else "bad"
        change = f' <span class="{kind}">{percent:+.0f} %</span>'
    value = units.human(result.unit, result.value)
    return f"<figure>{escape(result.label)}<br><b>{value}</b>{change}{chart.history(points, result.unit)}</figure>"


def _table(run, results):
    if not results:
        return '<p class="quiet">Nothing was measured.</p>'
    shown = '<p class="quiet">Medians, with the quartiles in parentheses. A ratio above 1 speaks for Landfall.</p>'
    for group, of_group in summary.by_group(results).items():
        columns, cells = summary.table(of_group)
        rows = ""
        for result, texts in zip(of_group, cells):
            kind = "" if not result.bar else "good" if result.bar["met"] else "bad"
            rows += _row("td", texts, kind)
        head = _row("th", columns)
        shown += f'<h3>{escape(group)}</h3><div class="table"><table>{head}{rows}</table></div>'
    return shown


def _row(tag, texts, last=""):
    """A row of a table; the colour is that of the last cell."""
    cells = [f"<{tag}>{escape(text)}</{tag}>" for text in texts[:-1]]
    cells.append(f'<{tag} class="{last}">{escape(texts[-1])}</{tag}>')
    return f"<tr>{''.join(cells)}</tr>"
