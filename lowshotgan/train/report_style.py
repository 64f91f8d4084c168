"""The style sheet of the report page: light and dark, wide and narrow, no font or file from elsewhere."""

CSS = """
:root {
  color-scheme: light dark;
  --paper: #fbfaf8; --card: #ffffff; --ink: #1e1e22; --quiet: #66666e; --line: #e4e2dd;
  --accent: #0f6b74; --good: #21713f; --bad: #b3361f; --bad-paper: #fcefeb; --tile: 128px;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #141517; --card: #1d1f22; --ink: #e9e8e5; --quiet: #a0a1a8; --line: #303338;
    --accent: #63c4cd; --good: #74c98f; --bad: #f08e78; --bad-paper: #33201c;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; max-width: 1164px; padding: 48px 24px 72px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  overflow-wrap: anywhere; -webkit-text-size-adjust: 100%;
}
p, ul { max-width: 70ch; margin: 0 0 16px; }
a { color: var(--accent); }
.kicker { margin: 0 0 8px; color: var(--quiet); font-size: 14px; }
h1 { margin: 0 0 28px; max-width: 34em; font-size: 27px; line-height: 1.3; font-weight: 600; letter-spacing: -0.01em;
  text-wrap: balance; }
h2 { margin: 56px 0 8px; font-size: 20px; line-height: 1.3; font-weight: 600; }
h3 { margin: 28px 0 8px; font-size: 15px; font-weight: 600; }
.lead, figcaption, .meaning, .legend { color: var(--quiet); }
.readings { display: grid; grid-template-columns: repeat(3, 1fr); gap: 12px; margin: 0 0 20px; padding: 0; }
.reading { padding: 16px 18px; background: var(--card); border: 1px solid var(--line); border-radius: 8px; }
.reading dt { color: var(--quiet); font-size: 14px; }
.reading dd { margin: 0; }
.reading .value { font-size: 28px; line-height: 1.4; font-weight: 600; font-variant-numeric: tabular-nums; }
.verdict { margin-left: 10px; font-size: 14px; font-weight: 600; vertical-align: 4px; }
.verdict.good { color: var(--good); }
.verdict.trouble { color: var(--bad); }
.meaning { font-size: 14px; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, var(--tile)); gap: 16px 12px; margin-top: 16px; }
.tiles.small { --tile: 64px; gap: 8px; }
figure { margin: 0; width: var(--tile); }
figure img {
  display: block; width: var(--tile); height: var(--tile); margin-bottom: 3px; background: var(--card);
  border-radius: 3px; outline: 1px solid var(--line);
}
.pixel img { image-rendering: pixelated; }
figcaption { font-size: 13px; line-height: 1.35; padding-top: 2px; }
.name { display: block; white-space: nowrap; overflow: hidden; text-overflow: ellipsis; }
.copied { color: var(--bad); font-weight: 600; }
.wrap { overflow-x: auto; }
.moment { display: grid; grid-template-columns: minmax(0, 600px) minmax(0, 1fr); gap: 16px 40px; align-items: start; }
.chart { display: block; width: 100%; height: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
.chart text { fill: var(--quiet); font-size: 11.5px; }
.chart .note { font-size: 10.5px; font-style: italic; }
.chart .label { fill: var(--ink); paint-order: stroke; stroke: var(--card); stroke-width: 3px; }
.chart .strong { font-weight: 600; fill: var(--accent); }
.grid { stroke: var(--line); stroke-width: 1; }
.rule { stroke: var(--quiet); stroke-width: 1; stroke-dasharray: 4 4; }
.path { fill: none; stroke: var(--quiet); stroke-opacity: 0.45; stroke-width: 1.2; }
.seen { fill: var(--card); stroke: var(--quiet); stroke-width: 1.4; }
.kept, .chosen { fill: var(--accent); }
.ring { fill: none; stroke: var(--accent); stroke-width: 1.8; }
.over { fill: none; stroke: var(--bad); stroke-width: 1.8; }
.legend { margin: 8px 0 0; font-size: 14px; }
.legend span { display: inline-block; margin-right: 18px; }
.symbol { width: 20px; height: 20px; vertical-align: -5px; margin-right: 4px; }
table { border-collapse: collapse; font-size: 14.5px; font-variant-numeric: tabular-nums; }
th, td { padding: 5px 18px 5px 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top; }
.numbers td, .numbers th { text-align: right; white-space: nowrap; }
.numbers td:last-child, .numbers th:last-child { text-align: left; padding-right: 0; }
thead th, .facts th { color: var(--quiet); font-weight: 500; }
tr.final td { font-weight: 600; }
.facts { width: 100%; }
.facts th { width: 40%; }
.columns { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 0 48px; }
details { margin-top: 14px; }
summary { cursor: pointer; color: var(--accent); font-size: 14.5px; }
pre {
  margin: 0 0 16px; padding: 14px 16px; overflow-x: auto; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; font: 14px/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; overflow-wrap: normal;
}
.warning {
  max-width: 76ch; margin: 0 0 10px; padding: 10px 14px; background: var(--bad-paper);
  border-left: 3px solid var(--bad); border-radius: 0 6px 6px 0;
}
@media (max-width: 820px) {
  .readings, .moment, .columns { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 520px) {
  :root { --tile: 96px; }
  body { padding: 28px 16px 48px; }
  h1 { font-size: 22px; }
  h2 { margin-top: 44px; }
  .chart text { font-size: 14px; }
  .chart .note { font-size: 13px; }
}
@media print { body { max-width: none; padding: 0; } h2 { break-after: avoid; } figure { break-inside: avoid; } }
"""
