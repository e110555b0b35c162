"use strict";
// One item, opened: all its frames, its texts in full, and how its scores stand among the others.

// The share of the items of its task that score lower, in percent.
function rank(item, k, data) {
  const values = data.items.filter((other) => other.task === item.task && other.scores[k] !== null).map((other) => other.scores[k]);
  const lower = values.filter((value) => value < item.scores[k]).length;
  return `${Math.round((100 * lower) / values.length)}%`;
}

function scoreTable(item, data) {
  const metrics = data.tasks[item.task].metrics;
  if (!metrics.length) return el("p", { class: "note" }, "There are no scores of single items: this run came without its statistics.");
  const row = (metric, k) => el("tr", {},
    el("th", { scope: "row" }, metric),
    el("td", { class: "number" }, shown(item.scores[k])),
    el("td", { class: "number" }, item.scores[k] === null ? "" : rank(item, k, data)));
  return el("table", {},
    el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Score of this item"), el("th", { scope: "col", class: "number" }, "×100"), el("th", { scope: "col", class: "number" }, "items that score lower"))),
    el("tbody", {}, ...metrics.map(row)));
}

function allFrames(clip, data) {
  if (!clip.folder) return framesNote(clip);
  return el("div", { class: "strip" }, ...clip.frames.map((frame) => el("figure", {}, picture(clip, frame, data), el("figcaption", {}, frameWords(frame)))));
}

function fillOpened(item, data) {
  const clip = data.clips[item.clip];
  byId("opened-title").replaceChildren(textNodes(`${clip.id} · ${label(item, data)}`));
  byId("opened-body").replaceChildren(
    el("p", { class: "muted" }, "source ", textBox(clip.source, "bdi"), " ", ...badges(item)),
    allFrames(clip, data) || "",
    item.question === null ? "" : textBox(item.question, "div", "text question"),
    el("div", { class: "pair" }, ...sides(item)),
    item.said === undefined ? "" : side("what the model wrote, word for word", textBox(item.said)),
    scoreTable(item, data));
}
