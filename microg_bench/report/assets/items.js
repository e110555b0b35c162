"use strict";
// Rows of the list: a head for each clip with its frames, a row for each item.

const MAX_STRIP = 16; // pictures in the list; all of them are in the opened item

function label(item, data) {
  return data.tasks[item.task].name === "caption" ? "Caption" : `Question ${item.id.slice(item.id.lastIndexOf("#") + 1)}`;
}

function frameWords([index, seconds]) {
  return `frame ${index}, ${seconds.toFixed(2)} s`;
}

function picture(clip, frame, data) {
  return el("img", {
    src: `${data.pictures}/${clip.folder}/${frame[0]}.jpg`,
    alt: frameWords(frame), title: frameWords(frame), loading: "lazy", decoding: "async",
  });
}

// At most `limit` of the frames, evenly chosen.
function someFrames(frames, limit) {
  if (frames.length <= limit) return frames;
  return Array.from({ length: limit }, (_, k) => frames[Math.floor(((k + 0.5) * frames.length) / limit)]);
}

function strip(clip, data) {
  if (!clip.folder) return framesNote(clip);
  const some = someFrames(clip.frames, MAX_STRIP);
  const few = some.length < clip.frames.length ? el("p", { class: "note" }, `${some.length} of ${clip.frames.length} frames`) : null;
  return el("div", {}, el("div", { class: "strip" }, ...some.map((frame) => el("figure", {}, picture(clip, frame, data)))), few);
}

// What is known of frames without pictures; null where there is nothing to say.
function framesNote(clip) {
  if (!clip.frames.length && !clip.why) return null;
  const indices = `frames ${clip.frames.map(([index]) => index).join(", ")}`;
  return el("p", { class: "note" }, textNodes(clip.why ? `${indices} · no pictures: ${clip.why}` : indices));
}

function clipHead(clip, data) {
  return el("header", { class: "clip" },
    el("h3", {}, textBox(clip.id, "bdi"), " ", el("small", {}, "source ", textBox(clip.source, "bdi"))),
    strip(clip, data));
}

function side(name, content) {
  return el("div", { class: "side" }, el("span", { class: "label" }, name), content);
}

// Reference and answer, differences marked.
function sides(item) {
  const [reference, answer] = sideTexts(item);
  return [side("reference", reference), side("answer", answer)];
}

function sideTexts(item) {
  const reference = item.reference === null ? el("div", { class: "muted" }, "not at hand") : textBox(item.reference);
  if (item.failure) return [reference, failureBox(item.failure)];
  if (item.answer === undefined) return [reference, el("div", { class: "failure" }, "not answered")];
  if (!item.answer.trim()) return [reference, el("div", { class: "failure" }, "empty answer")];
  if (item.reference === null) return [reference, textBox(item.answer)];
  return differences(item.reference, item.answer).map((words) => el("div", { class: "text", dir: "auto" }, words));
}

function failureBox(failure) {
  return el("div", { class: "failure" },
    el("strong", {}, `failed (${failure.stage}): `), textBox(failure.reason, "span"),
    failure.text ? textBox(failure.text, "div", "text muted") : null);
}

const STOPS = { length: "cut at its length", filter: "stopped by a filter", refusal: "refused" };

function badges(item) {
  return [
    item.absent ? el("span", { class: "badge", title: "The clip does not answer this question." }, "absent") : null,
    item.stop ? el("span", { class: "badge bad" }, textNodes(STOPS[item.stop] || item.stop)) : null,
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
  const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(label(item, data)));
  return el("article", { class: "item", "data-place": String(place) },
    el("div", { class: "what" }, open, ...badges(item)),
    item.question === null ? null : textBox(item.question, "div", "text question"),
    ...sides(item),
    scoreGrid(item, data, tops));
}
