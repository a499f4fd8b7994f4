"use strict";

// Everything that comes from the device or a file is shown as text, never as markup.
const $ = (id) => document.getElementById(id);
const RETRY = 2000;       // milliseconds before a lost connection is tried again
const SILENT = 3;         // seconds without a frame before the page says so
const MOST_DROPPED = 12;  // pictures of the visitor's own that stay on the page
const STAGES = { decode: "decode", preprocess: "resize", invoke: "model", postprocess: "answer" };

let source = null;
let retry = 0;
let mostBytes = Infinity;

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function percent(score) { return score === null ? "" : `${(score * 100).toFixed(1)} %`; }

function milliseconds(value) { return `${value < 10 ? value.toFixed(1) : Math.round(value)} ms`; }

function clock(time) { return new Date(time).toLocaleTimeString(); }

function state(kind, text) {
  $("state").className = `state ${kind}`;
  if ($("state").textContent !== text) $("state").textContent = text;
}

// --- an answer: its label, and a bar for each score ---

function showAnswer(place, answer) {
  const text = answer.labels.length ? answer.labels.join(", ") : "unknown";
  place.classList.toggle("unknown", !answer.labels.length);
  if (place.textContent !== text) place.textContent = text;
}

function bar(track, share, holds) {
  track.firstChild.style.width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  track.firstChild.classList.toggle("holds", holds);
}

function showScores(list, answer) {
  while (list.children.length > answer.predictions.length) list.lastChild.remove();
  answer.predictions.forEach((prediction, place) => {
    let row = list.children[place];
    if (!row) {
      row = make("li");
      const track = make("div", "track");
      track.append(make("div", "fill"));
      row.append(make("span", "label"), make("span", "score"), track);
      list.append(row);
    }
    const holds = answer.labels.includes(prediction.label);
    const [label, score, track] = row.children;
    label.textContent = label.title = prediction.label;
    label.classList.toggle("holds", holds);
    score.textContent = percent(prediction.score);
    bar(track, prediction.score, holds);
  });
}

// --- what the camera sees ---

function showStatus(status) {
  $("picture").style.visibility = "visible";
  showAbout(status);
  if (status.answer) {
    showAnswer($("answer"), status.answer);
    showScores($("scores"), status.answer);
  }
  $("fps").textContent = status.frames_per_second.toFixed(1);
  $("age").textContent = status.answer ? milliseconds(status.milliseconds.age) : "–";
  showStages(status.milliseconds);
  const quiet = status.seconds_since_frame;
  const silence = status.ended ? "The source has ended; this is its last picture."
    : quiet === null ? "No picture yet."
    : quiet > SILENT ? `Last picture ${Math.round(quiet)} s ago.` : "";
  $("silence").textContent = silence;
  $("silence").hidden = !silence;
  if (status.ended) state("", "ended");
  else if (silence) state("bad", "silent");
  else state("good", "live");
  $("note").hidden = !status.note;
  if (status.note) $("note").textContent = `${clock(status.note.time)}  ${status.note.text}`;
}

function showAbout(status) {
  mostBytes = status.most_upload_bytes;
  $("model").textContent = `${status.model}, ${status.classes} classes`;
  const camera = status.camera;
  // Of a path its end, which tells files apart.
  const name = camera === null ? "runtime"
    : camera.includes("://") ? camera : `Camera ${camera.split(/[\\/]/).pop()}`;
  $("camera").textContent = name;
  $("camera").title = camera || "";
  document.title = camera === null ? name : `${name} – runtime`;
}

function showStages(means) {
  const list = $("stages");
  const longest = Math.max(...Object.keys(STAGES).map((name) => means[name] || 0), 0.1);
  if (!list.children.length) {
    for (const name of Object.values(STAGES)) {
      const track = make("div", "track");
      track.append(make("div", "fill"));
      list.append(make("dt", "", name), track, make("dd", "", "–"));
    }
  }
  Object.keys(STAGES).forEach((name, place) => {
    if (means[name] === undefined) return;
    bar(list.children[place * 3 + 1], means[name] / longest, false);
    list.children[place * 3 + 2].textContent = milliseconds(means[name]);
  });
}

function showChanges(changes) {
  $("changes").replaceChildren(...changes.map((change) => {
    const row = make("li");
    const names = change.labels.map((held) => `${held.label} ${percent(held.score)}`.trim());
    const time = make("time", "", clock(change.time));
    time.dateTime = change.time;
    row.append(time, make("span", names.length ? "" : "quiet", names.join(", ") || "unknown"));
    return row;
  }));
}

function watch() {
  clearTimeout(retry);
  stop();
  $("picture").src = `/stream?${Date.now()}`;
  source = new EventSource("/events");
  source.addEventListener("status", (event) => showStatus(JSON.parse(event.data)));
  source.addEventListener("changes", (event) => showChanges(JSON.parse(event.data)));
  source.onerror = () => {
    stop();
    explain();
    retry = setTimeout(watch, RETRY);
  };
}

function stop() {
  if (source) source.close();
  source = null;
  $("picture").removeAttribute("src");
  $("picture").style.visibility = "hidden"; // or the browser draws a broken picture
}

// Why the connection was lost or refused.
async function explain() {
  try {
    const answer = await fetch("/status");
    if (answer.status === 401) location.reload();
    const status = await answer.json();
    if (status.viewers && status.viewers.now >= status.viewers.most) {
      state("bad", `${status.viewers.most} browsers watch already; waiting`);
    } else state("", "connecting");
  } catch {
    state("bad", "no connection; trying again");
    $("silence").textContent = "The device does not answer.";
    $("silence").hidden = false;
  }
}

// --- the visitor's own pictures ---

const waiting = [];
let working = false;

function take(files) {
  for (const file of files) {
    const row = make("li");
    const picture = make("img");
    picture.alt = "";
    picture.src = URL.createObjectURL(file);
    const words = make("div");
    words.append(make("p", "quiet name", file.name), make("p", "answer unknown", "…"), make("ol", "scores"));
    row.append(picture, words);
    $("dropped").prepend(row);
    waiting.push([file, words]);
  }
  while ($("dropped").children.length > MOST_DROPPED) {
    URL.revokeObjectURL($("dropped").lastChild.firstChild.src);
    $("dropped").lastChild.remove();
  }
  if (!working) work();
}

async function work() {
  working = true;
  while (waiting.length) {
    const [file, words] = waiting.shift();
    const [name, answer, scores] = words.children;
    try {
      const found = await classify(file);
      showAnswer(answer, found);
      showScores(scores, found);
      const times = found.milliseconds;
      name.textContent = `${file.name}, ${milliseconds(times.decode + times.preprocess + times.invoke)}`;
    } catch (error) {
      answer.className = "error";
      answer.textContent = error.message;
    }
  }
  working = false;
}

async function classify(file) {
  if (file.size > mostBytes) throw new Error(`Too large; at most ${Math.round(mostBytes / 1e6)} MB.`);
  const type = file.type.startsWith("image/") ? file.type : "application/octet-stream";
  let answer;
  try {
    const query = new URLSearchParams({ name: file.name.slice(0, 200) });
    answer = await fetch(`/classify?${query}`, { method: "POST", body: file, headers: { "Content-Type": type } });
  } catch {
    throw new Error("No connection to the device.");
  }
  const content = await answer.json().catch(() => ({ error: `The device answered ${answer.status}.` }));
  if (!answer.ok) throw new Error(content.error);
  return content;
}

$("file").addEventListener("change", () => { take($("file").files); $("file").value = ""; });
document.addEventListener("dragover", (event) => { event.preventDefault(); document.body.classList.add("over"); });
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("over");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("over");
  take(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));

// --- begin ---

async function begin() {
  try {
    const status = await (await fetch("/status")).json();
    showAbout(status);
    if (status.camera === null) {
      state("good", "ready");
      return;
    }
    for (const id of ["seeing", "answering", "pace", "past"]) $(id).hidden = false;
    document.querySelector("main").classList.add("live");
    watch();
    // Nobody looks: nothing is sent.
    document.addEventListener("visibilitychange", () => {
      clearTimeout(retry);
      if (document.hidden) stop();
      else watch();
    });
  } catch {
    state("bad", "no connection; trying again");
    setTimeout(begin, RETRY);
  }
}

begin();
