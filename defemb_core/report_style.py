"""The looks of a report: light and dark by the reader's own choice, narrow screens, paper."""

STYLE = """
:root { color-scheme: light dark; --ink: #1f2328; --soft: #5c636b; --ground: #ffffff; --line: #d8dce0; --box: #f4f5f7 }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8eaed; --soft: #a3a9b0; --ground: #16181b; --line: #3a3f45; --box: #1f2226 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 1.5rem 1rem 4rem; max-width: 76rem; color: var(--ink); background: var(--ground);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: 1.7rem; line-height: 1.2; margin: .5rem 0 }
h2 { font-size: 1.25rem; margin: 2.5rem 0 .5rem; border-top: 1px solid var(--line); padding-top: 1rem }
p, li { max-width: 46rem }
a { color: inherit }
.soft, figcaption span { color: var(--soft) }
.pairs { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 27rem), 1fr)); gap: 1.5rem }
dl { display: grid; grid-template-columns: minmax(7rem, auto) 1fr; gap: .2rem 1rem; margin: 0 }
dt { color: var(--soft) }
dd { margin: 0 }
.card { background: var(--box); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem }
.card h3 { margin: 0 0 .5rem; font-size: 1rem }
.scroll { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .8rem .3rem 0; text-align: left; vertical-align: top }
th { font-weight: 600 }
td.number, th.number { text-align: right }
th, td { overflow-wrap: normal }
figure { margin: 0 }
figcaption strong { display: block }
figure > svg { width: 100%; height: auto; display: block }
svg text { fill: var(--soft); font: 12px system-ui, sans-serif }
svg .end { text-anchor: end }
svg .middle { text-anchor: middle }
svg .grid { fill: none; stroke: var(--line); stroke-width: 1 }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .1rem 1rem; margin: .3rem 0 0; padding: 0;
  font-size: .85rem; color: var(--soft) }
.legend svg { width: 24px; height: 10px; margin-right: .4rem }
pre { overflow-x: auto; background: var(--box); border: 1px solid var(--line); border-radius: .5rem; padding: 1rem;
  font-size: .85rem }
@media (max-width: 34rem) { figure > svg text { font-size: 17px } }
@page { margin: 15mm }
@media print {
  :root { --ink: #000; --soft: #444; --ground: #fff; --line: #bbb; --box: #fff }
  body { font-size: 11pt; max-width: none; padding: 0; print-color-adjust: exact; -webkit-print-color-adjust: exact }
  figure, table, .card { break-inside: avoid }
  h2 { break-after: avoid }
  pre { white-space: pre-wrap }
}
"""
