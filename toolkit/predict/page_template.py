"""The jinja2 template of the page; every value in it is escaped."""

from __future__ import annotations

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Pictures and answers</title>
<style>
:root { color-scheme: light dark; --line: #d5d8dd; --soft: #5b6470; --card: #fff; --page: #f3f4f6; --bar: #bcd5f5;
  --text: #14181d; --warn: #a33a00; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3a4049; --soft: #a3acb8; --card: #1d2127; --page: #13161a; --bar: #1f3d61; --text: #eceff3;
    --warn: #ffb27a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 90rem; background: var(--page); color: var(--text);
  font: 1rem/1.4 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.35rem; margin: 0 0 .25rem; }
p { margin: 0 0 1rem; color: var(--soft); }
main { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 17rem), 1fr)); gap: 1rem; }
article { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; overflow: hidden; }
img { display: block; width: 100%; height: 14rem; object-fit: contain; background: var(--page); }
article > div { padding: .75rem; }
h2 { font-size: 1.05rem; margin: 0; }
h2.unknown { color: var(--warn); }
.source { font-size: .85rem; color: var(--soft); margin: .1rem 0 .6rem; }
ol { list-style: none; margin: 0; padding: 0; }
li { position: relative; display: flex; gap: .75rem; justify-content: space-between; padding: .2rem .4rem;
  margin-top: .2rem; border-radius: .25rem; overflow: hidden; }
li i { position: absolute; inset: 0 auto 0 0; background: var(--bar); }
li span { position: relative; }
li.out span:first-of-type { color: var(--soft); }
li b { position: relative; font-weight: 600; font-variant-numeric: tabular-nums; white-space: nowrap; }
section { margin-top: 1.5rem; }
section li { display: block; padding: .2rem 0; color: var(--soft); }
</style>
</head>
<body>
<h1>Pictures and answers</h1>
<p>{{ cards | length }} {{ "picture" if cards | length == 1 else "pictures" }}, {{ classes }} classes, model
  {{ what }}</p>
{% if multi_label %}
<p>A picture may have several labels: its heading names those whose scores reach their labels' least scores.</p>
{% endif %}
<main>
{% for card in cards %}
<article>
<img src="{{ card.thumbnail }}" alt="" loading="lazy">
<div>
<h2{% if card.answer.unknown %} class="unknown"{% endif %}>
  {{- nothing if card.answer.unknown else card.answer.labels | map("shown") | join(", ") -}}
</h2>
<div class="source">{{ card.answer.source | shown }}</div>
<ol>
{% for prediction in card.answer.predictions %}
<li{% if multi_label and prediction.label not in card.answer.labels %} class="out"{% endif %}>
  <i style="width: {{ "%.1f" | format(prediction.score * 100) }}%"></i>
  <span>{{ prediction.label | shown }}</span><b>{{ "%.1f" | format(prediction.score * 100) }} %</b></li>
{% endfor %}
</ol>
</div>
</article>
{% endfor %}
</main>
{% if skipped %}
<section>
<h2>Skipped</h2>
<ol>
{% for reason in skipped %}
<li>{{ reason }}</li>
{% endfor %}
</ol>
</section>
{% endif %}
</body>
</html>
"""
