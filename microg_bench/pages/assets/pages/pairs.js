"use strict";
// The page on which questions and answers are reviewed: a list of pairs, and a dialog in which one is decided or edited.
{
  const { byId, readData, el, textNodes, textBox } = microg.dom;
  const { choice, plain } = microg.Reviewing;

  const { pairs, captions, strips, reasons, columns, longest } = readData();

  // What is said of a pair is {decision, reason, question, answer}.
  const review = new microg.Reviewing({
    items: pairs,
    noun: "pairs",
    worked: "are edited",
    columns,
    decisions: { accept: "accepted", edit: "edited", reject: "rejected" },
    blank: (pair) => ({ question: pair.question, answer: pair.answer }),
    text: (pair) => `${pair.id} ${pair.question} ${pair.answer}`,
    lacks, row, opened, redraw, rows, pressed,
  });
  const known = (pair) => review.known(pair);

  function lacks(pair) {
    const now = known(pair);
    if (now.decision === "reject" && !now.reason) return "is rejected without a reason: choose one";
    if (now.decision === "edit" && !(plain(now.question) && plain(now.answer))) return "is edited, but its question or answer is empty";
    return "";
  }

  // The rows of a pair in the file: the words of one that is edited, the reason for one that is rejected.
  function rows(pair, now) {
    const own = { item: pair.id };
    if (now.decision === "reject") return [{ ...own, reason: now.reason }];
    return [now.decision === "edit" ? { ...own, question: plain(now.question), answer: plain(now.answer) } : own];
  }

  function row(pair, place) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(pair.id));
    return [el("article", { class: "row", "data-place": String(place) },
      el("div", {}, open, el("div", {}, review.badge(pair))),
      el("div", {}, textBox(pair.question, "div", "text question"), textBox(pair.answer)),
      el("div", { class: "note" }, textNodes(pair.notes[0] || "")))];
  }

  // The opened pair.

  function decide(pair, decision) {
    review.problem("");
    review.change(pair, { decision, reason: decision === "reject" ? known(pair).reason : "" });
    if (decision === "edit") byId("question").focus();
  }

  function decisions(pair) {
    const now = known(pair);
    const given = Object.entries({ accept: "Accept", edit: "Edit", reject: "Reject" });
    const why = reasons.map((reason, k) => choice(`${k + 1} ${reason}`, now.reason === reason, () => review.change(pair, { decision: "reject", reason })));
    return [
      el("div", { class: "choices", role: "group", "aria-label": "Decision" }, ...given.map(([name, word]) => choice(word, now.decision === name, () => decide(pair, name)))),
      now.decision === "reject" ? el("div", { class: "choices", role: "group", "aria-label": "Reason" }, ...why) : null,
    ].filter(Boolean);
  }

  function field(pair, name) {
    const input = el("textarea", { id: name, rows: "2", maxlength: String(longest) });
    input.value = known(pair)[name];
    input.addEventListener("input", () => review.change(pair, { [name]: input.value }));
    return el("label", {}, el("span", {}, name[0].toUpperCase() + name.slice(1)), input);
  }

  // The caption, with the words that give the answer marked where they stand as they were copied.
  function caption(pair) {
    const text = captions[pair.clip], at = pair.span ? text.indexOf(pair.span) : -1;
    if (at < 0) return textBox(text);
    return el("div", { class: "text", dir: "auto" }, textNodes(text.slice(0, at)), el("mark", {}, textNodes(pair.span)), textNodes(text.slice(at + pair.span.length)));
  }

  function opened(pair) {
    return [Object.hasOwn(strips, pair.clip) ? microg.frames.strip(strips[pair.clip], "frames") : null,
    el("div", { class: "told" },
      caption(pair),
      textBox(pair.question, "div", "text question"),
      textBox(pair.answer),
      el("ul", { class: "notes note" }, ...pair.notes.map((note) => textBox(note, "li")))),
    el("div", { id: "decision" }, ...decisions(pair)),
    el("div", { class: "fields", id: "fields", ...(review.state(pair) === "edit" ? {} : { hidden: "" }) }, field(pair, "question"), field(pair, "answer"))];
  }

  function redraw(pair) {
    byId("decision").replaceChildren(...decisions(pair));
    byId("fields").hidden = review.state(pair) !== "edit";
  }

  const KEYS = { a: "accept", e: "edit", r: "reject" };

  function pressed(key, pair) {
    const digit = Number(key);
    if (review.state(pair) === "reject" && digit >= 1 && digit <= reasons.length) review.change(pair, { reason: reasons[digit - 1] });
    else if (Object.hasOwn(KEYS, key)) decide(pair, KEYS[key]);
    else return false;
    return true;
  }

  review.start();
}
