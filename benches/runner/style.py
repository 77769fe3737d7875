"""How the page looks, by day and by night."""

CSS = """
:root {
  color-scheme: light dark;
  --page: #f7f7f5; --card: #ffffff; --ink: #1c1f23; --quiet: #666c75; --edge: #dfe1e4; --grid: #e9eaec;
  --ours: #2f6fde; --beside: #b4bac4; --good: #1c7f43; --bad: #c62f2f; --open: #a06a00;
  --s0: #2f6fde; --s1: #d9730d; --s2: #2a9d6a; --s3: #9353d3; --s4: #c4376e; --s5: #64748b;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14161a; --card: #1c1f25; --ink: #e7e9ec; --quiet: #9aa1ac; --edge: #2e333b; --grid: #2a2e36;
    --ours: #6ea3ff; --beside: #5b6472; --good: #4cc27d; --bad: #ff7b72; --open: #e0b04a;
    --s0: #6ea3ff; --s1: #f4a259; --s2: #57c99a; --s3: #bb8cf0; --s4: #f07aa5; --s5: #94a3b8;
  }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 1020px; padding: 28px 20px 60px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; }
h1 { font-size: 26px; margin: 0 0 14px; letter-spacing: -0.01em; }
h2 { font-size: 19px; margin: 40px 0 4px; }
h3 { font-size: 15px; margin: 20px 0 6px; }
p { margin: 4px 0 12px; }
.quiet, small { color: var(--quiet); }
code { font: 13px ui-monospace, "SF Mono", Menlo, "Liberation Mono", monospace; }
nav a { color: var(--ours); margin-right: 16px; text-decoration: none; }
nav a:hover { text-decoration: underline; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 16px; margin: 14px 0; }
dt { color: var(--quiet); }
dd { margin: 0; overflow-wrap: anywhere; }
.card, .table { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: 14px 18px;
  margin: 10px 0; overflow-x: auto; }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 16px 0; }
.tile { background: var(--card); border: 1px solid var(--edge); border-radius: 10px; padding: 10px 18px; }
.tile b { display: block; font-size: 24px; line-height: 1.25; font-variant-numeric: tabular-nums; }
.banner { border-left: 5px solid var(--open); }
.banner.bad { border-color: var(--bad); }
.banner.good { border-color: var(--good); }
b.good, span.good, td.good { color: var(--good); } b.bad, span.bad, td.bad { color: var(--bad); }
.key span { margin-right: 18px; white-space: nowrap; }
.key i { display: inline-block; width: 11px; height: 11px; border-radius: 3px; margin-right: 6px; }
table { border-collapse: collapse; width: 100%; font-size: 13px; font-variant-numeric: tabular-nums; }
th { text-align: left; color: var(--quiet); font-weight: 600; }
th, td { padding: 5px 12px 5px 0; border-bottom: 1px solid var(--grid); vertical-align: top; }
tr:last-child td { border-bottom: 0; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(290px, 1fr)); gap: 4px 16px; }
.grid figure { margin: 0; font-size: 12.5px; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; }
svg { display: block; max-width: none; }
svg text { font-size: 12.5px; fill: var(--ink); }
svg .quiet, svg .small { font-size: 11.5px; }
svg .quiet { fill: var(--quiet); }
svg .strong { font-weight: 600; }
svg .ours { fill: var(--ours); } svg .beside { fill: var(--beside); }
svg .whisker { stroke: var(--ink); stroke-width: 1.5; opacity: .55; }
svg .grid { stroke: var(--grid); } svg .axis { stroke: var(--quiet); }
svg .limit { stroke: var(--bad); stroke-width: 2; stroke-dasharray: 3 2; }
svg .span { stroke: var(--beside); stroke-width: 3; stroke-linecap: round; }
svg .p50 { fill: var(--s0); } svg .p95 { fill: var(--s1); } svg .p99 { fill: var(--s4); }
svg circle.good { fill: var(--good); } svg circle.bad { fill: var(--bad); } svg circle.open { fill: var(--open); }
svg .span.good { stroke: var(--good); } svg .span.bad { stroke: var(--bad); } svg .span.open { stroke: var(--open); }
svg .span.good, svg .span.bad, svg .span.open { opacity: .55; }
svg .line { fill: none; stroke-width: 2; stroke-linejoin: round; }
""" + "".join(
    f"svg circle.series{number} {{ fill: var(--s{number}); }}\n"
    f"svg .line.series{number} {{ stroke: var(--s{number}); }}\n"
    for number in range(6)
)
