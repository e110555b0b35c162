"use strict";
// Items: what was asked, the reference, the answer and the scores of one request.
//
// An item is {id, question, reference, answer, said, finish, failure: {stage, reason, text}, unanswerable, scores};
// question and reference may be null, the others missing. `metrics` are [{name, top}] in the order of `scores`; a full
// bar is `top` long.
// row(item, place, name, metrics) -> the row of a list; sides(item) -> [reference, answer], differences marked;
// side(name, content) -> content below its name; badges(item) -> what is particular about it.
// FINISH: words for reasons why an answer ended other than by itself.
{
  const { el, textNodes, textBox, number } = microg.dom;

  const FINISH = { length: "hit the token limit", content_filter: "stopped by the content filter", refusal: "declined by the model" };

  function side(name, content) {
    return el("div", { class: "side" }, el("span", { class: "label" }, name), content);
  }

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
      item.finish ? el("span", { class: "badge bad" }, FINISH[item.finish]) : null,
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
    return el("article", { class: "item", "data-place": String(place) },
      el("div", { class: "what" }, open, ...badges(item)),
      item.question === null ? null : textBox(item.question, "div", "text question"),
      ...sides(item),
      scoreGrid(item, metrics));
  }

  microg.items = { FINISH, row, sides, side, badges };
}
