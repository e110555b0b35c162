"use strict";
// Items: what was asked, the reference, the answer and the scores of one request.
//
// An item is {id, question, reference, answer, said, thoughts, thinks, ended, failure: {stage, reason, text},
// unanswerable, scores}; question and reference may be null, the others missing. `thoughts` are not part of the answer;
// an answer that `thinks` looks like thoughts itself. `ended` tells in words why it ended other than by itself. `metrics` are [{name, top}] in the order of `scores`; a full
// bar is `top` long.
// row(item, place, name, metrics) -> the row of a list; sides(item, name) -> [reference, answer], differences marked, the
// thoughts folded up, the answer called `name`; scoreGrid(item, metrics) -> its scores as bars; side(name, content) -> content below its name; badges(item) -> what is particular about it.
// THINKS: words for an answer that looks like thoughts.
{
  const { el, textNodes, textBox, number } = microg.dom;

  const THINKS = "looks like thinking";

  function side(name, ...content) {
    return el("div", { class: "side" }, el("span", { class: "label" }, name), ...content);
  }

  function sides(item, name = "answer") {
    const [reference, answer] = sideTexts(item);
    return [side("reference", reference), side(name, answer, thoughtsBox(item.thoughts))];
  }

  function thoughtsBox(thoughts) {
    if (!thoughts) return null;
    return el("details", { class: "thoughts" }, el("summary", {}, "thoughts"), textBox(thoughts));
  }

  function sideTexts(item) {
    const reference = item.reference === null ? el("div", { class: "muted" }, "not at hand") : textBox(item.reference);
    if (item.failure) return [reference, failureBox(item.failure)];
    if (item.answer === undefined) return [reference, el("div", { class: "failure" }, "not answered")];
    if (!item.answer.trim()) return [reference, el("div", { class: "failure" }, "empty answer")];
    if (item.reference === null) return [reference, textBox(item.answer)];
    return microg.differences(item.reference, item.answer).map((words) => el("div", { class: "text", dir: "auto" }, words));
  }

  function failureBox(failure) {
    return el("div", { class: "failure" },
      el("strong", {}, `failed (${failure.stage}): `), textBox(failure.reason, "span"),
      failure.text ? textBox(failure.text, "div", "text muted") : null);
  }

  function badges(item) {
    return [
      item.unanswerable ? el("span", { class: "badge", title: "The clip does not answer this question." }, "unanswerable") : null,
      item.ended ? el("span", { class: "badge bad" }, item.ended) : null,
      item.thinks ? el("span", { class: "badge bad" }, THINKS) : null,
    ].filter(Boolean);
  }

  function scoreGrid(item, metrics) {
    const cells = metrics.flatMap(({ name, top }, k) => item.scores[k] === null ? [] : [
      el("span", {}, name), microg.charts.meter(item.scores[k], top), el("span", { class: "number" }, number(item.scores[k], 1)),
    ]);
    return el("div", { class: "scores" }, ...cells);
  }

  function row(item, place, name, metrics) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(name));
    const node = el("article", { class: "item", "data-place": String(place) },
      el("div", { class: "what" }, open, ...badges(item)),
      item.question === null ? null : textBox(item.question, "div", "text question"),
      ...sides(item),
      scoreGrid(item, metrics));
    for (const summary of node.querySelectorAll("summary")) summary.tabIndex = -1; // a row is one stop of the Tab key
    return node;
  }

  microg.items = { THINKS, row, sides, side, badges, scoreGrid };
}
