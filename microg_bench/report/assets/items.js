"use strict";
// Rows of the list: a head for each clip with its frames, a row for each item.

const MAX_STRIP = 16; // pictures in the list; all of them are in the opened item

function label(item, data) {
  const task = data.tasks[item.task];
  return task.name === "caption" ? "Caption" : `Question ${item.id.slice(item.id.lastIndexOf("#") + 1)}`;
}

function frameWords([index, seconds]) {
  return seconds === undefined ? `frame ${index}` : `frame ${index}, ${seconds.toFixed(2)} s`;
}

function picture(clip, frame, data) {
  const image = el("img", {
    src: `${data.pictures}/${clip.folder}/${Number(frame[0])}.jpg`,
    alt: frameWords(frame), title: frameWords(frame), loading: "lazy", decoding: "async",
  });
  return image;
}

// At most `limit` of the frames, evenly chosen.
function strip(clip, data, limit) {
  const all = clip.frames;
  const few = all.length <= limit ? all : Array.from({ length: limit }, (_, k) => all[Math.floor(((k + 0.5) * all.length) / limit)]);
  if (!clip.folder) return el("p", { class: "note" }, framesNote(clip));
  return el("div", { class: "strip" }, ...few.map((frame) => el("figure", {}, picture(clip, frame, data))));
}

function framesNote(clip) {
  const indices = clip.frames.length ? `frames ${clip.frames.map(([index]) => index).join(", ")}` : "no frames";
  return textNodes(clip.why ? `${indices} · no pictures: ${clip.why}` : indices);
}

function clipHead(clip, data) {
  const count = clip.frames.length;
  const more = clip.folder && count > MAX_STRIP ? `${MAX_STRIP} of ${count} frames` : "";
  return el("div", { class: "clip" },
    el("h3", { class: "head" }, textBox(clip.id, "bdi"), el("span", { class: "muted" }, "source ", textBox(clip.source, "bdi")), el("span", { class: "muted" }, more)),
    count || clip.why ? strip(clip, data, MAX_STRIP) : null);
}

function sides(item) {
  const reference = item.reference ?? "";
  if (item.failure) return [textBox(reference), failureBox(item.failure)];
  if (item.answer === undefined) return [textBox(reference), el("div", { class: "failure" }, "not answered")];
  if (item.reference === null) return [el("div", { class: "muted" }, "not at hand"), textBox(item.answer)];
  const [first, second] = differences(reference, item.answer);
  return [textBoxOf(first), item.answer.trim() ? textBoxOf(second) : el("div", { class: "failure" }, "empty answer")];
}

function textBoxOf(fragment) {
  return el("div", { class: "text", dir: "auto" }, fragment);
}

function failureBox(failure) {
  const said = failure.text ? textBox(failure.text, "div", "text muted") : null;
  return el("div", { class: "failure" }, el("strong", {}, "failed, ", failure.stage, ": "), textBox(failure.reason, "span"), said);
}

const STOPS = { length: "cut at its length", filter: "stopped by a filter", refusal: "refused" };

function badges(item) {
  return [
    item.absent ? el("span", { class: "badge" }, "absent") : null,
    item.stop ? el("span", { class: "badge bad" }, STOPS[item.stop] || item.stop) : null,
  ].filter(Boolean);
}

function meter(value, top) {
  const bar = el("i");
  bar.style.width = `${Math.max(0, Math.min(100, (100 * value) / top))}%`;
  return el("span", { class: "meter" }, bar);
}

function scoreGrid(item, data, tops) {
  const metrics = data.tasks[item.task].metrics;
  const cells = metrics.flatMap((metric, k) => item.scores[k] === null ? [] : [
    el("span", {}, metric), meter(item.scores[k], tops[item.task][k]), el("span", { class: "number" }, shown(item.scores[k], 1)),
  ]);
  return el("div", { class: "scores" }, ...cells);
}

function itemRow(item, place, data, tops) {
  const [left, right] = sides(item);
  return el("div", { class: "item", role: "listitem", tabindex: "-1", "data-place": String(place) },
    el("div", { class: "what" }, el("span", {}, label(item, data)), ...badges(item)),
    item.question === null ? el("div", { class: "question" }) : textBox(item.question, "div", "text question"),
    el("div", { class: "side" }, el("span", { class: "label" }, "reference"), left),
    el("div", { class: "side" }, el("span", { class: "label" }, "answer"), right),
    scoreGrid(item, data, tops));
}
