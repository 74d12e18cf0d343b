"""The page's CSS style sheet: on a light screen, on a dark one and on paper.

Colours of series are told apart by people who see no red or no green, have a contrast of at
least 3 to 1 against the paper, and come with a different dash each.
"""

NUM_SERIES_COLOURS = 7

_LIGHT = """
  --paper: #fdfdfb; --raised: #f5f4ef; --ink: #1c1d21; --soft: #5d6068; --line: #dedcd4;
  --grid: #e9e7e0; --accent: #0b62a8; --right: #0b62a8; --wrong: #c04a00;
  --s0: #0b6bb5; --s1: #c84e00; --s2: #00805e; --s3: #a8478a; --s4: #8a6a00; --s5: #2484ad;
  --s6: #5a5f6b; --on-mid: #1c1d21; --on-shade: #ffffff;
"""

_DARK = """
  --paper: #15171b; --raised: #1d2026; --ink: #e9e8e4; --soft: #a3a6ae; --line: #363a43;
  --grid: #282c33; --accent: #6cb8f5; --right: #5aaef0; --wrong: #ff9a5c;
  --s0: #5ab0f2; --s1: #ff9157; --s2: #3cc9a0; --s3: #e58fc4; --s4: #e0bd4c; --s5: #8fd4f2;
  --s6: #b4bac6; --on-mid: #0f1114; --on-shade: #0f1114;
"""

_PAGE = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.6 ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue",
    "Noto Sans", "PingFang SC", "Microsoft YaHei", "Noto Sans CJK SC", sans-serif; }
main, header, footer { max-width: 68rem; margin: 0 auto; padding: 0 1.5rem; }
header { padding-top: 3.5rem; }
h1, h2 { font-family: "Iowan Old Style", Charter, "Bitstream Charter", "Sitka Text", Cambria,
  Georgia, "Songti SC", "Noto Serif CJK SC", serif; font-weight: 600; line-height: 1.2;
  text-wrap: balance; overflow-wrap: anywhere; }
h1 { font-size: 2.4rem; margin: 0; letter-spacing: -.015em; }
h2 { font-size: 1.5rem; margin: 0 0 .4rem; letter-spacing: -.01em; }
.subtitle { color: var(--soft); font-size: 1.1rem; margin: .5rem 0 0; max-width: 46rem;
  overflow-wrap: anywhere; }
nav { display: flex; flex-wrap: wrap; gap: .3rem 1.4rem; margin-top: 1.6rem; font-size: .92rem; }
a { color: var(--accent); text-decoration: none; }
a:hover, a:focus-visible { text-decoration: underline; }
section { border-top: 1px solid var(--line); margin-top: 2.6rem; padding-top: 1.8rem; }
.note { color: var(--soft); max-width: 46rem; margin: 0 0 1.2rem; }
.text { white-space: pre-wrap; overflow-wrap: anywhere; }
p.text { max-width: 46rem; }
footer { color: var(--soft); font-size: .85rem; padding-top: 3rem; padding-bottom: 3rem; }
.beside { display: grid; gap: 1.8rem 2.5rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.beside > div { min-width: 0; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 2px; }
"""

_TABLES = """
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .92rem;
  font-variant-numeric: tabular-nums; }
figcaption { text-align: left; font-weight: 600; font-size: .95rem;
  margin-bottom: .5rem; overflow-wrap: anywhere; }
th, td { padding: .42rem .9rem .42rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid var(--grid); }
th:last-child, td:last-child { padding-right: 0; }
thead th { border-bottom: 1px solid var(--line); color: var(--soft); font-weight: 500;
  white-space: nowrap; vertical-align: bottom; }
tbody tr:hover { background: var(--raised); }
.r { text-align: right; }
td.r { white-space: nowrap; }
th button { all: unset; cursor: pointer; }
th button:hover { color: var(--ink); }
th button:focus-visible { outline: 2px solid var(--accent); }
th[aria-sort=ascending] button::after { content: " ↑"; }
th[aria-sort=descending] button::after { content: " ↓"; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 12.5rem), 1fr));
  gap: 1.1rem 2rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; font-size: 1.08rem; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
pre { background: var(--raised); border: 1px solid var(--grid); border-radius: 6px; margin: 0;
  padding: .9rem 1.1rem; overflow-x: auto; font: .86rem/1.55 ui-monospace, "SF Mono", Menlo,
  Consolas, "DejaVu Sans Mono", "Noto Sans Mono CJK SC", monospace; tab-size: 4; }
.quotes { list-style: none; margin: 0; padding: 0; }
.quotes li { padding: .9rem 0; border-bottom: 1px solid var(--grid); }
.quotes li:first-child { padding-top: 0; }
.verdict { font-size: .88rem; color: var(--soft); margin-top: .25rem; }
.verdict b { font-weight: 600; overflow-wrap: anywhere; }
.verdict .right { color: var(--right); } .verdict .wrong { color: var(--wrong); }
details.long summary { cursor: pointer; list-style: none; }
details.long summary::-webkit-details-marker { display: none; }
details.long[open] summary .text { display: none; }
.more { color: var(--accent); white-space: nowrap; }
details.long[open] .more { font-size: .85rem; }
.empty { color: var(--soft); font-style: italic; margin: 0; }
"""

_CHARTS = """
figure { margin: 0; }
.chart { container-type: inline-size; overflow-x: auto; }
.chart > svg { display: block; width: 100%; height: auto; overflow: visible; }
.chart > svg.wide { min-width: 26rem; }
@container (max-width: 35rem) { .chart > svg.wide { font-size: 15px; } }
svg { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "PingFang SC", "Noto Sans CJK SC", sans-serif; font-variant-numeric: tabular-nums; }
svg text { fill: var(--soft); }
svg .strong { fill: var(--ink); }
.grid { stroke: var(--grid); } .axis { stroke: var(--line); }
.series { fill: none; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; }
.whisker { stroke: var(--ink); stroke-width: 1.5; fill: none; }
.many { stroke-width: 1.1; }
.ideal { stroke: var(--soft); stroke-dasharray: 4 4; fill: none; }
.mark { fill: var(--paper); stroke: var(--ink); stroke-width: 2; }
.halo { paint-order: stroke; stroke: var(--paper); stroke-width: 4px; stroke-linejoin: round; }
.legend { display: flex; flex-wrap: wrap; gap: .15rem 1.3rem; font-size: .88rem;
  margin-bottom: .4rem; }
.legend span { display: inline-flex; align-items: center; gap: .45rem; overflow-wrap: anywhere; }
.legend svg { width: 26px; height: 10px; flex: none; }
.gaps { color: var(--soft); font-size: .85rem; margin: .3rem 0 0; }
.rule { stroke: var(--soft); stroke-dasharray: 2 3; }
#tip { position: absolute; z-index: 9; pointer-events: none; background: var(--ink);
  color: var(--paper); border-radius: 5px; padding: .35rem .6rem; font-size: .82rem;
  line-height: 1.45; white-space: pre-line; max-width: 24rem; font-variant-numeric: tabular-nums;
  overflow-wrap: anywhere; }
#tip[hidden] { display: none; }
.heat { overflow-x: auto; }
.heat svg { display: block; }
.heat path { fill: var(--s0); stroke: var(--paper); stroke-width: .05; }
.heat path.off { fill: var(--s1); }
.heat .value { fill: var(--ink); text-anchor: middle; }
.heat .value.mid { fill: var(--on-mid); }
.heat .value.on { fill: var(--on-shade); }
.heats { display: grid; gap: 1.4rem 1.6rem;
  grid-template-columns: repeat(auto-fill, minmax(min(100%, 15rem), 1fr)); }
.heats svg { width: 100%; height: auto; }
.heats figcaption { margin-bottom: .3rem; font-weight: 500; font-size: .88rem; }
.shades { display: flex; gap: 1rem; margin-top: .6rem; font-size: .82rem; color: var(--soft); }
.shades span { display: inline-flex; align-items: center; gap: .35rem; }
.shades i { width: 14px; height: 14px; border-radius: 2px; background: var(--s0);
  outline: 1px solid var(--grid); }
"""

# Last, as it has to win over the margins of the parts themselves.
_SPACING = """
section > * + *, .beside > div > * + * { margin-top: 1.8rem; }
section > h2 + * { margin-top: 1rem; }
section > h2 + .note { margin-top: 0; }
section > .note + * { margin-top: 1.2rem; }
"""

_PRINT = """
@media print {
  :root { LIGHT --paper: #fff; }
  body { font-size: 10.5pt; }
  header { padding-top: 0; }
  main, header, footer { max-width: none; padding-left: 0; padding-right: 0; }
  nav, #tip, .more { display: none; }
  section { margin-top: 1.4rem; padding-top: 1rem; }
  .beside { grid-template-columns: 1fr 1fr; }
  .heats { grid-template-columns: repeat(4, 1fr); gap: 1rem; }
  h2, .note, figcaption { break-after: avoid; }
  figure, tr, li, dl { break-inside: avoid; }
  .heat, .scroll { overflow: visible; }
  .heat svg { max-width: 100%; height: auto; }
  pre { white-space: pre-wrap; }
  details.long summary { display: none; }
  details::details-content { content-visibility: visible; display: block; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
"""

_SERIES = "".join(
    f".s{i} {{ stroke: var(--s{i}); }} .f{i} {{ fill: var(--s{i}); }}\n"
    for i in range(NUM_SERIES_COLOURS)
)

STYLE = (
    f":root {{ color-scheme: light dark; {_LIGHT} }}\n"
    f"@media (prefers-color-scheme: dark) {{ :root {{ {_DARK} }} }}\n"
    f"{_PAGE}{_TABLES}{_CHARTS}{_SERIES}{_SPACING}{_PRINT.replace('LIGHT', _LIGHT)}"
)
