"""The jinja2 template of export.html; every value in it is escaped, but the plot, which escapes its own."""

from __future__ import annotations

TEMPLATE = """\
{% macro run(r) %}{{ "%.1f" | format(r.latency_ms) }} ms{% endmacro %}
{% macro compared(r) %}
{% if measured %}
<td>{{ r.accuracy.accuracy | percent }}<span>{{ r.accuracy.interval_95[0] | percent }} –
  {{ r.accuracy.interval_95[1] | percent }}</span></td>
<td>{{ r.accuracy_drop | points }}</td>
<td>{{ r.changed.better | length }} / {{ r.changed.worse | length }}</td>
{% endif %}
<td>{{ r.top1_agreement | percent }}</td>
<td>{{ "%.2g" | format(r.largest_score_difference) }}</td>
{% endmacro %}
{% macro costs(r) %}
<td>{{ run(r) }}</td>
<td>{{ "%.1f" | format(r.latency_one_thread_ms) }} ms</td>
<td>{{ r.peak_memory | megabytes }}</td>
{% endmacro %}
{% macro labels(texts) %}{% for text in texts %}{% if not loop.first %}, {% endif %}<bdi>{{ text | shown }}</bdi>
{%- else %}no label{% endfor %}{% endmacro %}
{% macro answer(a) %}
<b class="{{ "" if a.right is none else "good" if a.right else "bad" }}">{{ "unknown, at best " if a.unknown }}
{{- labels(a.labels) }}</b>
<span class="score">{{ a.score | percent }}</span>{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ report.name | shown }} – exported files</title>
<style>
:root {
  --ground: #f6f7f9; --card: #fff; --text: #1a2230; --muted: #5a6577; --line: #e1e5eb; --soft: #eef1f5;
  --good: #1d7a47; --bad: #b3401a;
  --k0: #1f6fb2; --k1: #8a4bb3; --k2: #a87b00; --k3: #d65421; --k4: #2d8a57; --k5: #b03468;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #12161d; --card: #1a2029; --text: #e6eaf0; --muted: #98a4b5; --line: #2c3542; --soft: #232b37;
    --good: #5cc08b; --bad: #f08a55;
    --k0: #5aa9ea; --k1: #bd8ae0; --k2: #d9ad3c; --k3: #f08a55; --k4: #5cc08b; --k5: #e5739f;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--text); -webkit-text-size-adjust: 100%;
  font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
header, main { max-width: 1120px; margin: 0 auto; padding: 0 20px; }
header { padding-top: 28px; }
.kicker { margin: 0; }
.kicker, .muted { color: var(--muted); font-size: 13px; }
h1 { margin: 2px 0 8px; font-size: 28px; line-height: 1.2; overflow-wrap: anywhere; }
h2 { margin: 0 0 12px; font-size: 18px; }
p.muted { margin: 10px 0 0; max-width: 75ch; }
section { margin: 18px 0; padding: 20px; background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; }
.notes { border-left: 4px solid var(--k2); padding: 12px 20px; }
.notes ul { margin: 0; padding-left: 18px; overflow-wrap: anywhere; }
.top { display: grid; grid-template-columns: minmax(0, 560px) minmax(0, 1fr); gap: 8px 32px; align-items: center; }
.plot { display: block; width: 100%; max-width: 560px; height: auto; }
.plot text { fill: var(--muted); font-size: 11px; font-family: inherit; }
.plot .title { fill: var(--text); }
.plot .label { font-weight: 650; font-size: 11.5px; paint-order: stroke; stroke-width: 3px; stroke-linejoin: round; }
.plot .end { text-anchor: end; } .plot .middle { text-anchor: middle; }
.plot .grid { stroke: var(--line); fill: none; }
.plot .axis, .plot .tick { stroke: var(--muted); fill: none; }
.plot .ideal { stroke: var(--muted); stroke-dasharray: 4 4; fill: none; }
.plot .dot { fill-opacity: .45; stroke-width: 1.2; }
.plot .whisker { stroke-width: 1.2; stroke-opacity: .55; fill: none; }
{% for n in range(colours) %}
.plot .k{{ n }} { stroke: var(--k{{ n }}); } .plot .dot.k{{ n }} { fill: var(--k{{ n }}); }
.plot text.k{{ n }} { fill: var(--k{{ n }}); stroke: var(--card); } i.k{{ n }} { background: var(--k{{ n }}); }
{% endfor %}
.legend { list-style: none; margin: 0; padding: 0; }
.legend li { padding: 9px 0; border-top: 1px solid var(--line); display: grid; gap: 0 10px;
  grid-template-columns: 12px minmax(0, 1fr) auto; align-items: baseline; }
.legend li:first-child { border-top: 0; }
.legend i { width: 10px; height: 10px; border-radius: 50%; }
.legend b { overflow-wrap: anywhere; }
.legend .big { font-weight: 650; font-variant-numeric: tabular-nums; }
.legend .muted { grid-column: 2 / -1; }
.good { color: var(--good); } .bad { color: var(--bad); }
.scroll { overflow-x: auto; -webkit-overflow-scrolling: touch; margin: 0 -4px; }
table { border-collapse: collapse; width: 100%; }
th { font-weight: 500; text-align: left; }
th, td { padding: 6px 10px; border-bottom: 1px solid var(--line); vertical-align: top; white-space: nowrap; }
thead th { color: var(--muted); font-size: 13px; vertical-align: bottom; }
tbody th { font-weight: 600; position: sticky; left: 0; background: var(--card); }
tbody th span { display: block; color: var(--muted); font-size: 12px; font-weight: 400; }
td, thead th + th { text-align: right; font-variant-numeric: tabular-nums; }
td span { display: block; color: var(--muted); font-size: 12px; }
.words td { text-align: left; white-space: normal; }
.words td:first-of-type { min-width: 8.5em; }
.words th + th { text-align: left; }
.tiles { display: grid; grid-template-columns: repeat(auto-fill, minmax(200px, 1fr)); gap: 20px 16px; }
.tile { margin: 0; min-width: 0; }
.tile img { display: block; width: 100%; height: 180px; object-fit: contain; background: var(--soft);
  border-radius: 6px; }
.tile dl { margin: 8px 0 0; font-size: 13px; display: grid; grid-template-columns: auto minmax(0, 1fr);
  gap: 1px 8px; }
dt { color: var(--muted); } dd { margin: 0; overflow-wrap: anywhere; }
.score { font-variant-numeric: tabular-nums; white-space: nowrap; color: var(--muted); }
.tile b { font-weight: 600; }
.made { display: grid; grid-template-columns: minmax(110px, max-content) minmax(0, 1fr); gap: 4px 20px; margin: 0;
  font-size: 13px; overflow-wrap: anywhere; }
code { font: 12px/1.5 ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
@media (max-width: 720px) { .top { grid-template-columns: minmax(0, 1fr); } }
@media (max-width: 560px) {
  header, main { padding: 0 10px; }
  header { padding-top: 18px; }
  section { padding: 14px 12px; margin: 12px 0; }
  h1 { font-size: 23px; }
  th, td { padding: 6px 7px; }
  .tiles { grid-template-columns: 1fr 1fr; gap: 16px 12px; }
  .tile img { height: 150px; }
  .words thead { display: none; }
  .words tr { display: block; padding: 8px 4px; border-bottom: 1px solid var(--line); }
  .words th, .words td { display: block; padding: 0; border: 0; font-size: 14px; }
  .made { grid-template-columns: minmax(0, 1fr); gap: 0; }
  .made dd { margin-bottom: 8px; }
}
@media print { body { background: #fff; } section, .tile { break-inside: avoid; } .scroll { overflow: visible; } }
</style>
</head>
<body>
<header>
<p class="kicker">{{ report.backbone | shown }}, {{ report.labels | length }}
  {{ "labels" if report.task == "multi-label" else "classes" }}: files for the device</p>
<h1><bdi>{{ report.name | shown }}</bdi></h1>
<p class="muted">Every file was run, each time in a process of its own, on {{ report.check_pictures }}
{% if measured %}
  test pictures. The trained model has {{ report.trained.accuracy.accuracy |
  percent }} of them right (95 % interval {{ report.trained.accuracy.interval_95[0] | percent }} to
  {{ report.trained.accuracy.interval_95[1] | percent }}).
{% else %}
  pictures whose labels are not known here: what is compared are the answers of file and trained model.
{% endif %}</p>
</header>
<main>
{% if report.notes %}
<section class="notes"><ul>
{% for note in report.notes %}
<li>{{ note | shown }}</li>
{% endfor %}
</ul></section>
{% endif %}
<section>
<h2>Size, {{ "accuracy" if measured else "agreement" }}, time</h2>
<div class="top">
<div>{{ plot | safe }}</div>
<ul class="legend">
{% for f in files %}
<li><i class="k{{ loop.index0 % colours }}"></i><b>{{ f.kind }}{{ "" if f.accepted else " (refused)" }}</b>
  <span class="big">{{ (f.accuracy.accuracy if measured else f.top1_agreement) | percent }}</span>
  <span class="muted">{{ f.bytes | megabytes }}, {{ run(f) }} with {{ f.threads }}
    {{ "thread" if f.threads == 1 else "threads" }}
    {%- if measured %}; {{ f.changed.better | length }} better, {{ f.changed.worse | length }} worse
    {%- if f.changed.worse and f.changed.chance > 0.05 %}, which may be chance{% endif %}{% endif %}</span></li>
{% endfor %}
</ul>
</div>
<p class="muted">The larger a dot, the longer one picture takes{{ "; lines are 95 % intervals, as far as chance may
carry the figure with so many pictures; the dashed line is the trained model" if measured else "" }}.</p>
</section>

<section>
<h2>Files</h2>
<div class="scroll"><table>
<thead><tr><th>file</th><th>size</th>{% if measured %}<th>accuracy</th><th>drop,<br>points</th>
<th>better /<br>worse</th>
{% endif %}<th>same<br>answer</th><th>score<br>difference</th><th>{{ files[0].threads if files else "" }}
threads</th><th>1 thread</th><th>memory</th></tr></thead>
<tbody>
{% for f in files %}
{% for r in (f, f.floor) if r is not none %}
<tr><th>{% if loop.first %}{{ f.kind }}{{ "" if f.accepted else " (refused)" }}{% endif %}
  <span>{{ r.interpreter | shown }}</span></th>
<td>{{ f.bytes | megabytes if loop.first else "" }}</td>
{{ compared(r) }}
{{ costs(r) }}</tr>
{% endfor %}
{% endfor %}
{% for e in report.formats if e.get("proof") %}
<tr><th>{{ e.format }}<span>{{ e.proof.interpreter | shown }}</span></th><td>{{ e.proof.bytes | megabytes }}</td>
{{ compared(e.proof) }}
{{ costs(e.proof) }}</tr>
{% if e.get("micro") %}
<tr><th><span>{{ e.micro.interpreter | shown }}, {{ e.micro.images }} pictures</span></th><td></td>
{{ compared(e.micro) }}
<td></td><td></td><td></td></tr>
{% endif %}
{% endfor %}
</tbody></table></div>
{% for e in report.formats if e.get("proof") and e.get("message") %}
<p class="muted">{{ e.format }}: {{ e.message | shown }}</p>
{% endfor %}
<p class="muted">Drop: points of accuracy below the trained model; better / worse: test pictures that the file has right
and the trained model wrong, and the other way round. Score difference: the largest, over all pictures and classes.
Times are medians on the machine that converted, other devices differ; memory is what the model adds to a process
with the interpreter in it.</p>
</section>

<section>
<h2>{{ "Pictures whose answer changed" if changed else "No answer changed" }}</h2>
{% if tiles %}
<div class="tiles">
{% for tile in tiles %}
<figure class="tile"><img src="{{ tile.picture }}" alt="" loading="lazy">
<figcaption><dl>
{% if tile.truth is not none %}<dt>is</dt><dd>{{ labels(tile.truth) }}</dd>{% endif %}
<dt>trained</dt><dd>{{ answer(tile.trained) }}</dd>
{% for kind, other, what in tile.others %}
<dt>{{ kind }}</dt><dd>{{ answer(other) }}</dd>
{% endfor %}
</dl></figcaption></figure>
{% endfor %}
</div>
{% if left_out %}<p class="muted">{{ left_out }} more are listed in export.json.</p>{% endif %}
{% elif changed %}
<p class="muted">{{ changed }} of {{ report.check_pictures }}; their scores are not kept where there are no test
pictures.</p>
{% else %}
<p class="muted">Every file gives the trained model's answer on all {{ report.check_pictures }} pictures.</p>
{% endif %}
</section>

<section>
<h2>Operators</h2>
<div class="scroll"><table class="words">
<thead><tr><th>file</th><th>in, out</th><th>operators and their versions</th><th>needs</th></tr></thead>
<tbody>
{% for f in files %}
<tr><th>{{ f.kind }}</th><td>{{ f.input }}, {{ f.output }}</td>
<td>{% for op in f.operators %}{{ op.count }} × {{ op.name | shown }} {{ op.version }}
{%- if not loop.last %}, {% endif %}{% endfor %}</td>
<td>{{ "TensorFlow Lite " ~ f.needs_runtime if f.needs_runtime else "any" }}</td></tr>
{% endfor %}
</tbody></table></div>
</section>

<section>
<h2>How it was made</h2>
<dl class="made">
{% for name, version in report.made_from.versions.items() %}
<dt>{{ name }}</dt><dd>{{ version | shown }}</dd>
{% endfor %}
{% for f in files %}
<dt>{{ f.file | shown }}</dt><dd><code>sha256 {{ f.sha256 }}</code></dd>
{% endfor %}
{% for name, digest in report.made_from.files.items() %}
<dt>from {{ name | shown }}</dt><dd><code>sha256 {{ digest }}</code></dd>
{% endfor %}
</dl>
<p class="muted">The same source, options and versions give the same bytes. <code>toolkit verify FILE --against
SOURCE</code> repeats all of this; export.json has every figure and score.</p>
</section>
</main>
</body>
</html>
"""
