//! The figures as a page that needs nothing else.

use std::fmt::Write;

use super::{LATENCY, Measured, first, grouped};

const STYLE: &str = "\
:root { color-scheme: light dark; --bar: #2f6f9f; --first: #9aa5ad; --line: #8884; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin: 2rem 0 .5rem; font-size: 1.1rem; }
svg { width: 100%; height: auto; }
text { font: 13px system-ui, sans-serif; fill: currentColor; }
rect { fill: var(--bar); } rect.first { fill: var(--first); }
table { border-collapse: collapse; width: 100%; } th, td { text-align: right; padding: .2rem .6rem; }
th:first-child, td:first-child { text-align: left; } tr { border-bottom: 1px solid var(--line); }";

/// Height of one bar with its space, and where bars begin and end, of a plot that is 1,000 wide.
const STEP: usize = 30;
const BARS: (f64, f64) = (330.0, 860.0);

/// A page about what was measured in a database.
pub(super) fn page(location: &str, all: &[Measured]) -> String {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>landfall bench</title>\n<style>\n{STYLE}\n</style>\n\
         <h1>Rows that land in {}</h1>\n<p>landfall {}, on {} with {} cores. Each figure is the median of its runs; the \
         server decides what they are, so compare those of one page.</p>\n",
        escaped(location),
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        std::thread::available_parallelism().map_or(0, usize::from),
    );
    let mut topics: Vec<&str> = Vec::new();
    for measured in all {
        if !topics.contains(&measured.topic) {
            topics.push(measured.topic);
        }
    }
    for topic in topics {
        let ways: Vec<_> = all.iter().filter(|measured| measured.topic == topic).collect();
        let _ = writeln!(html, "<h2>{}</h2>", escaped(topic));
        html += &if topic == LATENCY { latencies(&ways) } else { rates(&ways) };
    }
    html += "<h2>All figures</h2>\n<table><tr><th>way<th>rows<th>runs<th>rows/s<th>times the first of its topic</tr>\n";
    for measured in all {
        let times = measured.rate() / first(measured, all).rate();
        let _ = writeln!(
            html,
            "<tr><td>{}: {}<td>{}<td>{}<td>{}<td>{times:.2}</tr>",
            escaped(measured.topic),
            escaped(&measured.way),
            grouped(measured.rows as f64),
            measured.times.len(),
            grouped(measured.rate()),
        );
    }
    html + "</table>\n</html>\n"
}

fn rates(ways: &[&Measured]) -> String {
    let bars: Vec<_> = ways.iter().map(|way| (way.way.clone(), way.rate(), grouped(way.rate()) + " rows/s")).collect();
    plot(&bars)
}

fn latencies(ways: &[&Measured]) -> String {
    let of = |way: &&Measured| {
        [50, 95, 99].map(|percent| {
            let millis = way.percentile(percent).as_secs_f64() * 1e3;
            (format!("{}: P{percent}", way.way), millis, format!("{millis:.1} ms"))
        })
    };
    plot(&ways.iter().flat_map(of).collect::<Vec<_>>())
}

/// Horizontal bars; the first is the one that others are compared with.
fn plot(bars: &[(String, f64, String)]) -> String {
    let most = bars.iter().map(|(_, value, _)| *value).fold(f64::MIN_POSITIVE, f64::max);
    let (from, to) = BARS;
    let mut svg = format!("<svg viewBox=\"0 0 1000 {}\" role=\"img\">\n", bars.len() * STEP);
    for (index, (name, value, shown)) in bars.iter().enumerate() {
        let (width, top) = ((to - from) * value / most, index * STEP);
        let class = if index == 0 { " class=\"first\"" } else { "" };
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><rect{class} x=\"{from}\" y=\"{}\" width=\"{width:.1}\" \
             height=\"20\" rx=\"2\"/><text x=\"{:.1}\" y=\"{}\">{}</text>",
            from - 8.0,
            top + 19,
            escaped(name),
            top + 4,
            from + width + 8.0,
            top + 19,
            escaped(shown),
        );
    }
    svg + "</svg>\n"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
