"use strict";
// The page on which answers are rated: a list of answers, and a dialog in which one is rated.
{
  const { byId, readData, el, textNodes, textBox } = microg.dom;
  const { choice, plain } = microg.Reviewing;

  const { answers, strips, levels, columns, longest } = readData();
  const CAPTION = "Describe what happens in the video."; // what a caption answers

  // What is said of an answer is {decision: its rating, note}.
  const review = new microg.Reviewing({
    items: answers,
    noun: "answers",
    worked: "have a note",
    columns,
    decisions: Object.fromEntries(levels.map((level) => [level, level])),
    blank: () => ({ note: "" }),
    text: (one) => `${one.item} ${one.question} ${one.answer}`,
    lacks: () => "",
    row, opened, redraw, rows, pressed,
  });
  const known = (one) => review.known(one);

  function rows(one, now) {
    return [{ key: one.fingerprint, id: one.item, rater: review.annotator, rating: now.decision, note: plain(now.note) }];
  }

  function row(one, place) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(one.id));
    return [el("article", { class: "row", "data-place": String(place) },
      el("div", {}, open, el("div", {}, review.badge(one))),
      el("div", {}, textBox(one.question || CAPTION, "div", "text question"), textBox(one.answer)))];
  }

  // The opened answer. The next open one follows its rating.

  function rate(one, decision) {
    review.problem("");
    review.change(one, { decision });
    review.nextOpen();
  }

  function ratings(one) {
    return levels.map((level, place) => choice(`${place + 1} ${level}`, known(one).decision === level, () => rate(one, level)));
  }

  function note(one) {
    const input = el("textarea", { id: "note", rows: "2", maxlength: String(longest) });
    input.value = known(one).note;
    input.addEventListener("input", () => review.change(one, { note: input.value }));
    return el("label", { class: "remark" }, el("span", {}, "Note"), input);
  }

  function opened(one) {
    return [
      microg.frames.strip(strips[one.clip], "frames"),
      textBox(one.question || CAPTION, "p", "text asked"),
      textBox(one.answer, "p"),
      el("div", { class: "choices", id: "rating", role: "group", "aria-label": "Rating" }, ...ratings(one)),
      note(one),
    ];
  }

  function redraw(one) {
    byId("rating").replaceChildren(...ratings(one));
  }

  function pressed(key, one) {
    const level = levels[Number(key) - 1];
    if (level) rate(one, level);
    else if (key === "c") byId("note").focus();
    else return false;
    return true;
  }

  review.start();
}
