/** Quiet, for reading and for paper: one column, hairlines, and colour only where something is to be told by it. */
export const STYLE = `
:root { color-scheme: light; --ink: #16191d; --soft: #5a626b; --line: #d9dde2; --tint: #f5f6f8; --good: #12703a; --good-tint: #e7f4ec;
  --bad: #b3261e; --bad-tint: #fcebe9; --odd: #8a5a00; --odd-tint: #fbf2df; --blue: #1f4fa3; --bar: #2f6bd0; --other: #c9d3e3;
  --mono: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: #fff; color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.sheet { max-width: 68rem; margin: 0 auto; padding: 3rem 2rem 5rem; }
a { color: var(--blue); text-decoration: none; border-bottom: 1px solid #b9c9e6; }
a:hover { border-bottom-color: currentColor; }
code, .mono { font-family: var(--mono); font-size: .84em; }
header .eyebrow { margin: 0 0 .6rem; color: var(--soft); font-size: .8rem; letter-spacing: .09em; text-transform: uppercase; }
h1 { margin: 0; font-size: 2.6rem; line-height: 1.1; font-weight: 650; letter-spacing: -.02em; }
h1 .version { color: var(--soft); font-weight: 400; }
h2 { margin: 3.6rem 0 .3rem; padding-top: 1.1rem; border-top: 2px solid var(--ink); font-size: 1.3rem; font-weight: 650; letter-spacing: -.01em; }
h3 { margin: 2rem 0 .6rem; font-size: .95rem; font-weight: 650; }
.lead { margin: 0 0 1.4rem; max-width: 46rem; color: var(--soft); }
.verdict { display: flex; flex-wrap: wrap; align-items: baseline; gap: .4rem 1rem; margin: 1.6rem 0 0; padding: 1.1rem 1.3rem; border-radius: .5rem;
  border-left: .3rem solid var(--good); background: var(--good-tint); }
.verdict.bad { border-color: var(--bad); background: var(--bad-tint); }
.verdict strong { font-size: 1.15rem; }
.verdict span { color: var(--soft); }
.figures { display: grid; grid-template-columns: repeat(4, 1fr); margin: 1.4rem 0 0; border: 1px solid var(--line); border-radius: .5rem; }
.figures div { padding: .9rem 1.1rem; border-left: 1px solid var(--line); }
.figures div:first-child { border-left: 0; }
.figures b { display: block; font-size: 1.7rem; line-height: 1.2; font-weight: 600; letter-spacing: -.02em; }
.figures span { color: var(--soft); font-size: .85rem; }
dl { display: grid; grid-template-columns: 11rem 1fr; gap: .35rem 1.2rem; margin: 1.6rem 0 0; }
dt { color: var(--soft); } dd { margin: 0; min-width: 0; }
nav { margin: 1.6rem 0 0; color: var(--soft); font-size: .92rem; }
nav a { margin-right: 1.1rem; white-space: nowrap; }
.tag { display: inline-block; padding: .05rem .55rem; border-radius: 1rem; font-size: .8rem; font-weight: 600; white-space: nowrap; background: var(--tint); color: var(--soft); }
.tag.good { background: var(--good-tint); color: var(--good); } .tag.bad { background: var(--bad-tint); color: var(--bad); }
.tag.odd { background: var(--odd-tint); color: var(--odd); }
.rows { margin: 1.2rem 0 0; padding: 0; list-style: none; border-top: 1px solid var(--line); }
.rows > li { display: grid; grid-template-columns: var(--cols, 10rem 1fr); gap: .15rem 1.4rem; padding: .8rem 0; border-bottom: 1px solid var(--line); }
.rows > li > * { min-width: 0; }
.rows p { margin: 0; } .rows .more { margin-top: .25rem; color: var(--soft); font-size: .88rem; }
.rows .key { font-weight: 600; } .rows .when { color: var(--soft); font-size: .88rem; font-weight: 400; }
.requirements { --cols: 8.6rem 7.6rem 1fr; } .events { --cols: 9.4rem 1fr; } .decisions { --cols: 9.4rem 12rem 1fr; } .checks { --cols: 8.6rem 6rem 1fr; }
.documents { --cols: 11rem 1fr; } .documents > li { padding: .45rem 0; font-size: .9rem; }
.profile { margin-top: 2.4rem; }
figure { margin: 1.4rem 0 0; } figcaption { margin-top: .5rem; color: var(--soft); font-size: .88rem; }
svg { display: block; width: 100%; height: auto; } svg text { font: 12px system-ui, sans-serif; fill: var(--soft); }
table { width: 100%; margin: 1.4rem 0 0; border-collapse: collapse; font-size: .92rem; }
th { color: var(--soft); font-weight: 500; text-align: left; } th, td { padding: .5rem .9rem .5rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td.number, th.number { text-align: right; } th, td.number, td.short { white-space: nowrap; }
details summary { cursor: pointer; color: var(--blue); }
footer { margin-top: 4rem; padding-top: 1.1rem; border-top: 1px solid var(--line); color: var(--soft); font-size: .88rem; }
@media screen and (max-width: 46rem) {
  body { font-size: 15px; } .sheet { padding: 1.6rem 1.1rem 3rem; } h1 { font-size: 1.95rem; } h2 { margin-top: 2.6rem; font-size: 1.18rem; }
  .figures { grid-template-columns: 1fr 1fr; } .figures div:nth-child(odd) { border-left: 0; } .figures div:nth-child(n + 3) { border-top: 1px solid var(--line); }
  dl { grid-template-columns: 1fr; gap: 0; } dd { margin-bottom: .55rem; }
  .rows > li { grid-template-columns: 1fr; gap: .3rem; } .requirements > li, .checks > li { grid-template-columns: auto 1fr; }
  .requirements > li > :last-child, .checks > li > :last-child { grid-column: 1 / -1; }
  .hide-small { display: none; } th, td { padding-right: .6rem; }
  svg.wide { display: none; } } 
@media screen and (min-width: 46.01rem) { svg.narrow { display: none; } }
@media print {
  @page { size: A4; margin: 16mm 15mm; }
  html { font-size: 9.6pt; } body { font-size: 1rem; line-height: 1.42; } .sheet { max-width: none; padding: 0; } h1 { font-size: 24pt; } h2 { margin-top: 8mm; font-size: 13pt; break-after: avoid; } h3 { break-after: avoid; }
  a { color: inherit; border: 0; } nav, details summary { display: none; } .rows > li, tr, figure, .verdict, .figures { break-inside: avoid; }
  .rows > li { padding: .5rem 0; } .verdict, .tag { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  svg { -webkit-print-color-adjust: exact; print-color-adjust: exact; } svg.narrow { display: none; } svg.wide { display: block; } }
`;
