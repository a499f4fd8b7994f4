"""The page that ``toolkit inspect --html`` writes, as a Jinja template; it needs nothing from anywhere else."""

TEMPLATE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}: the pictures</title>
<style>
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --bar: #3a7bd5; --warn: #c4501b; }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 72rem; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.2; margin: .5rem 0; }
h2 { font-size: 1.15rem; margin: 2rem 0 .25rem; }
h1, h2, td, th, li, figcaption { overflow-wrap: anywhere; }
p { margin: .25rem 0 .75rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; white-space: pre-wrap; min-width: 7rem; }
tr.all td { font-weight: 600; }
meter, .bar { display: block; height: .35rem; background: var(--bar); border-radius: 2px; min-width: 1px; }
ul.facts { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .5rem; }
ul.facts li { background: var(--soft); border: 1px solid var(--line); border-radius: .4rem; padding: .3rem .7rem; }
ul.facts a { color: inherit; }
.case { border: 1px solid var(--line); border-radius: .4rem; padding: .6rem; margin: 0 0 .6rem; }
.shots { display: flex; flex-wrap: wrap; gap: .6rem; }
.grid { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(15rem, 100%), 1fr)); gap: .6rem; }
.pairs { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(30rem, 100%), 1fr)); gap: .6rem; }
.grid .case, .pairs .case { margin: 0; }
figure { margin: 0; flex: 1 1 9rem; max-width: 15rem; }
.shot { height: 11rem; display: flex; align-items: center; justify-content: center; background: var(--soft);
  border: 1px solid var(--line); border-radius: .3rem; }
.shot img { max-width: 100%; max-height: 100%; object-fit: contain; outline: 1px dashed var(--line); }
figcaption { font-size: .85rem; }
.detail { color: var(--warn); font-size: .9rem; margin: .3rem 0 0; }
@media (prefers-color-scheme: dark) { :root { --warn: #f0955f; } }
@media (max-width: 40rem) {
  th, td { padding: .3rem .25rem; font-size: .85rem; }
  td.size { white-space: normal; }
  .share { display: none; }
  th:first-child, td:first-child { min-width: 5rem; }
}
ul.files { padding-left: 1.2rem; }
ul.files li { margin-bottom: .2rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ "{:,}".format(total.pictures) }} pictures {{ "with" if multi_label else "in" }} {{ classes | length }}
  {% if multi_label %}{{ "label" if classes | length == 1 else "labels" }}
  {%- if unlabelled %}, {{ "{:,}".format(unlabelled) }} of them without any{% endif %}
  {%- else %}{{ "class" if classes | length == 1 else "classes" }}{% endif %}; {{ formats or "no pictures" }}.</p>

<div class="wide"><table>
<tr><th>{{ "label" if multi_label else "class" }}</th>
  <th>pictures</th><th class="share">share</th><th>smallest</th><th>median</th><th>largest</th></tr>
{% for row in classes + [total] %}
<tr{% if loop.last %} class="all"{% endif %}><td>{{ row.label }}
  {%- if not loop.last %}<span class="bar" style="width: {{ row.bar }}%"></span>{% endif %}</td>
  <td>{{ "{:,}".format(row.pictures) }}</td><td class="share">{{ row.share }}</td>
  {% for size in row.sizes %}<td class="size">{{ size }}</td>{% endfor %}</tr>
{% endfor %}
</table></div>

<h2>What may be wrong</h2>
{% if not findings %}<p>Nothing was found.</p>{% endif %}
<ul class="facts">
{% for finding in findings %}<li><a href="#{{ finding.kind }}">{{ finding.count }} × {{ finding.title }}</a></li>
{% endfor %}
</ul>
{% for finding in findings %}
<section id="{{ finding.kind }}">
<h2>{{ finding.count }} × {{ finding.title }}</h2>
<p>{{ finding.meaning[0] | upper }}{{ finding.meaning[1:] }}.</p>
{% if finding.pictures %}
<div class="{{ "grid" if finding.single else "pairs" }}">
{% for item in finding.cases %}
<div class="case"><div class="shots">
{% for shot in item.shots %}
<figure>{% if shot.image %}<div class="shot"><img src="data:image/jpeg;base64,{{ shot.image }}" alt=""></div>
{% endif %}<figcaption>{% for name in shot.names %}<div>{{ name }}</div>{% endfor %}</figcaption></figure>
{% endfor %}
</div>
{% if item.detail or item.more %}<p class="detail">{{ item.detail }}
  {%- if item.more %} and {{ item.more }} more{% endif %}</p>{% endif %}
</div>
{% endfor %}
</div>
{% else %}
<ul class="files">
{% for item in finding.cases %}
<li>{% for shot in item.shots %}{{ shot.names | join(", ") }}{% endfor %}
{% if item.shots and item.detail %}: {% endif %}{{ item.detail }}</li>
{% endfor %}
</ul>
{% endif %}
{% if finding.left_out %}<p>{{ finding.left_out }} more are not shown; --json lists every one.</p>{% endif %}
</section>
{% endfor %}
</body>
</html>
"""
