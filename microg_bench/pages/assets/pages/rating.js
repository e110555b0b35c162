"use strict";
// The page on which answers are rated: a list of answers, and a dialog in which one is rated.
{
  const { byId, readData, el, textNodes, textBox } = microg.dom;
  const { setOptions, values, listen, predicate, withWords } = microg.filters;
  const { plain, save } = microg.notebook;

  const { answers, clips, levels, columns, longest } = readData();
  const STATES = { "": "all", open: "open", ...Object.fromEntries(levels.map((level) => [level, level])) };
  const CAPTION = "Describe what happens in the video."; // what a caption answers

  // What was said of an answer: {rating, note}.

  const book = new microg.Notebook("microg-bench-rating", answers, byId("annotator"), problem);
  const known = (one) => book.said[one.id] || { rating: "", note: "" };
  const state = (one) => known(one).rating || "open";

  // It stands where it is seen: in the dialog, if that is open.
  function problem(text) {
    const box = byId("problem");
    (viewer.shown ? viewer.dialog.querySelector(".head") : byId("tools")).after(box);
    box.hidden = !text;
    box.replaceChildren(textNodes(text));
  }

  function rate(one, rating) {
    book.say(one, { ...known(one), rating });
    refresh(one);
    nextOpen();
  }

  // The list.

  const badge = (one) => el("span", { class: `badge state ${state(one)}` }, state(one));

  function row(one, place) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(one.question || CAPTION));
    return [el("article", { class: "row", "data-place": String(place) }, el("div", {}, open), el("div", {}, badge(one)), textBox(one.answer, "p", "text note"))];
  }

  const list = new microg.List(byId("list"), byId("end"), row);
  const viewer = new microg.Viewer(list, (one) => ({ title: one.item, nodes: opened(one) }));

  const TESTS = {
    state: (wanted) => (one) => state(one) === wanted,
    search: (text) => withWords(text, (one) => `${one.item} ${one.question} ${one.answer}`),
  };

  function count() {
    const done = answers.filter((one) => state(one) !== "open").length;
    byId("count").textContent = `${list.items.length} shown, ${done} of ${answers.length} rated`;
  }

  function refill() {
    const { state: wanted, search } = values(byId("tools"));
    const found = answers.filter(predicate({ state: wanted, search }, TESTS));
    // Rows that stay are not built again: one that is being clicked would lose the click.
    if (found.length === list.items.length && found.every((one, place) => one === list.items[place])) found.forEach(refresh);
    else list.fill(found);
    count();
  }

  function refresh(one) {
    const old = list.box.querySelector(`[data-place="${list.items.indexOf(one)}"] .state`);
    if (old) old.replaceWith(badge(one));
    count();
    if (viewer.shown && list.item === one) byId("rating").replaceWith(choices(one));
  }

  // The opened answer. What is typed is not drawn again, so that the cursor stays.

  function choices(one) {
    const made = levels.map((level, place) => {
      const button = el("button", { type: "button", "aria-pressed": String(known(one).rating === level) }, `${place + 1} ${level}`);
      button.addEventListener("click", () => rate(one, level));
      return button;
    });
    return el("div", { class: "choices", id: "rating", role: "group", "aria-label": "Rating" }, ...made);
  }

  function remark(one) {
    const input = el("textarea", { id: "note", rows: "2" });
    input.maxLength = longest;
    input.value = known(one).note;
    input.addEventListener("input", () => book.say(one, { ...known(one), note: input.value }));
    return el("label", { class: "remark" }, el("span", {}, "Note"), input);
  }

  function opened(one) {
    const clip = clips[one.clip];
    const scenes = clip.frames.map((frame, place) => el("figure", {},
      microg.scene(frame.picture, clip.size, [], `frame ${place + 1} of ${one.item}`), el("figcaption", {}, `${frame.seconds.toFixed(2)} s`)));
    return [
      scenes.length ? el("div", { class: "scenes" }, ...scenes) : el("p", { class: "note" }, textNodes(`no pictures: ${clip.why}`)),
      textBox(one.question || CAPTION, "p", "text asked"),
      textBox(one.answer, "p", "text"),
      choices(one),
      remark(one),
    ];
  }

  // Export.

  function exported() {
    const { name } = book;
    if (!name) { byId("annotator").focus(); return problem("Give your name first: it goes with each row."); }
    book.keep();
    const without = answers.filter((one) => known(one).note && state(one) === "open");
    problem(without.length ? `${without.length} answers have a note but no rating, and are left out; the first is ${without[0].item}.` : "");
    const rows = answers.filter((one) => state(one) !== "open").map((one) => (
      { key: one.id, id: one.item, rater: name, rating: known(one).rating, note: plain(known(one).note) }));
    save(columns, rows, `ratings-${name.replace(/[^\w-]+/g, "-")}.csv`);
  }

  // Keys and start.

  function openAnswer(one) {
    if (!list.items.includes(one)) { byId("tools").elements.state.value = ""; byId("search").value = ""; refill(); }
    list.select(list.items.indexOf(one), !viewer.shown);
    viewer.open();
  }

  function nextOpen() {
    const start = list.items.indexOf(list.item);
    const order = [...list.items.slice(start + 1), ...list.items.slice(0, start)];
    const next = order.find((one) => state(one) === "open");
    if (next) openAnswer(next);
  }

  const KEYS = { n: nextOpen, c: () => byId("note").focus() };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
      if (event.key === "Escape") { event.target.blur(); viewer.title.focus(); event.preventDefault(); }
      return;
    }
    const step = { j: 1, ArrowDown: viewer.shown ? 0 : 1, ArrowRight: 1, k: -1, ArrowUp: viewer.shown ? 0 : -1, ArrowLeft: -1 }[event.key];
    const level = levels[Number(event.key) - 1];
    if (step) viewer.move(step);
    else if (viewer.shown && level) rate(list.item, level);
    else if (viewer.shown && Object.hasOwn(KEYS, event.key)) KEYS[event.key]();
    else if (event.key === "n") nextOpen();
    else if (event.key === "/") byId("search").focus();
    else return;
    event.preventDefault();
  }

  setOptions(byId("state"), Object.entries(STATES));
  book.load();
  byId("annotator").addEventListener("input", () => book.load()); // the list follows a moment later
  byId("export").addEventListener("click", exported);
  byId("list").addEventListener("click", (event) => {
    const clicked = event.target.closest(".row");
    if (!clicked) return;
    list.select(Number(clicked.dataset.place));
    viewer.open();
  });
  document.addEventListener("keydown", pressed);
  addEventListener("storage", (event) => { // another tab works on the same answers
    if (!book.holds(event.key)) return;
    book.load();
    refill();
  });
  listen(byId("tools"), refill, 120);
  refill();
  const linked = answers.find((one) => one.id === viewer.linked);
  if (linked) openAnswer(linked);
  document.documentElement.dataset.ready = "yes";
}
