"use strict";
// The page on which clips are reviewed: a list of clips, and a dialog in which one is decided, labelled and captioned.
{
  const { byId, readData, el, textNodes, textBox } = microg.dom;
  const { setOptions, values, listen, predicate, withWords } = microg.filters;
  const { plain } = microg.notebook;

  const data = readData();
  const { clips, actions, reasons, sources, columns, most, longest } = data;
  const byNumber = new Map(actions.map((one) => [one.id, one]));
  const STATES = { "": "all", open: "open", accept: "accepted", reject: "rejected" };

  // What was said of a clip: {decision, reason, actions: {person: [id, ...]}, caption, mission, ...}.

  let person = 0; // the place of the current person in the opened clip
  const book = new microg.Notebook("microg-bench-review", clips, byId("annotator"), problem);

  // It stands where it is seen: in the dialog, if that is open.
  function problem(text) {
    const box = byId("problem");
    (viewer.shown ? viewer.dialog.querySelector(".head") : byId("tools")).after(box);
    box.hidden = !text;
    box.replaceChildren(textNodes(text));
  }

  const known = (clip) => book.said[clip.id] || { decision: "", reason: "", actions: {}, ...clip.prefill };
  const state = (clip) => known(clip).decision || "open";

  function change(clip, changes) {
    book.say(clip, { ...known(clip), ...changes });
    refresh(clip);
  }

  // The list.

  function badge(clip) {
    const now = known(clip), words = { accept: "accepted", reject: `rejected: ${now.reason || "no reason yet"}` }[now.decision] || "open";
    return el("span", { class: `badge state ${now.decision}` }, textNodes(words));
  }

  // The actions of a person are those at its key frame.
  function caption(frame) {
    const persons = frame.key.length ? `: key frame of person ${frame.key.join(", ")}` : "";
    return `frame ${frame.frame}${persons}`;
  }

  function scene(clip, frame) {
    return microg.scene(frame.picture, clip.size, frame.boxes, `frame ${frame.frame} of ${clip.id}`);
  }

  function row(clip, place) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(clip.id));
    const failed = clip.verdicts.find((one) => !one.passed);
    return [el("article", { class: "row", "data-place": String(place) },
      el("div", {}, open, el("div", {}, badge(clip))),
      clip.frames.length ? el("div", { class: "thumbs" }, ...clip.frames.filter((_, k) => k % 2).map((frame) => scene(clip, frame))) : el("p", { class: "note" }, textNodes(`no pictures: ${clip.why}`)),
      el("div", { class: "note" }, textNodes(failed ? `${failed.stage}: ${failed.reason}` : `${clip.persons.length} ${clip.persons.length === 1 ? "person" : "people"}, ${clip.kind} footage`)))];
  }

  const list = new microg.List(byId("list"), byId("end"), row);
  const viewer = new microg.Viewer(list, (clip) => ({ title: clip.id, nodes: opened(clip) }));

  const TESTS = {
    state: (wanted) => (clip) => state(clip) === wanted,
    search: (text) => withWords(text, (clip) => `${clip.id} ${clip.verdicts.map((one) => `${one.stage} ${one.reason}`).join(" ")}`),
  };

  function count() {
    const done = clips.filter((clip) => state(clip) !== "open").length;
    byId("count").textContent = `${list.items.length} shown, ${done} of ${clips.length} decided`;
  }

  function refill() {
    const { state: wanted, search } = values(byId("tools"));
    const found = clips.filter(predicate({ state: wanted, search }, TESTS));
    // Rows that stay are not built again: one that is being clicked would lose the click.
    if (found.length === list.items.length && found.every((clip, place) => clip === list.items[place])) found.forEach(refresh);
    else list.fill(found);
    count();
  }

  function refresh(clip) {
    const place = list.items.indexOf(clip);
    const old = list.box.querySelector(`[data-place="${place}"] .state`);
    if (old) old.replaceWith(badge(clip));
    count();
    if (viewer.shown && list.item === clip) redraw(clip);
  }

  // The opened clip. What is typed is not drawn again, so that the cursor stays.

  function choice(name, pressed, action, text = name) {
    const made = el("button", { type: "button", "aria-pressed": String(pressed) }, textNodes(text));
    made.addEventListener("click", action);
    return made;
  }

  function decide(clip, decision) {
    if (decision === "accept" && !clip.persons.length) return problem(`${clip.id} has no person with a box: it cannot be accepted.`);
    problem("");
    change(clip, { decision, reason: decision === "accept" ? "" : known(clip).reason });
  }

  function decisions(clip) {
    const now = known(clip);
    const given = [choice("accept", now.decision === "accept", () => decide(clip, "accept"), "Accept"), choice("reject", now.decision === "reject", () => decide(clip, "reject"), "Reject")];
    const why = reasons.map((reason, k) => choice(reason, now.reason === reason, () => change(clip, { decision: "reject", reason }), `${k + 1} ${reason}`));
    return [el("div", { class: "choices", role: "group", "aria-label": "Decision" }, ...given),
      now.decision === "reject" ? el("div", { class: "choices", role: "group", "aria-label": "Reason" }, ...why) : null];
  }

  function take(clip, number, action) {
    const now = known(clip), own = now.actions[number] || [];
    if (own.includes(action)) return;
    if (own.length >= most) return problem(`A person has at most ${most} actions: remove one first.`);
    change(clip, { actions: { ...now.actions, [number]: [...own, action] } });
  }

  function drop(clip, number, action) {
    const now = known(clip);
    problem("");
    change(clip, { actions: { ...now.actions, [number]: now.actions[number].filter((one) => one !== action) } });
  }

  // Actions with these words: those that have them in their name first.
  const named = new Map(actions.map((one) => [one, { name: one.name }]));
  function matching(text) {
    const byName = withWords(text, (one) => one.name);
    const found = actions.filter(withWords(text, (one) => `${one.name} ${one.group} ${one.definition}`));
    return [...found.filter((one) => byName(named.get(one))), ...found.filter((one) => !byName(named.get(one)))];
  }

  function takenOf(clip, number) {
    const own = known(clip).actions[number] || [];
    if (!own.length) return [el("span", { class: "muted" }, "no action yet")];
    return own.map((action) => {
      const made = el("button", { type: "button", "aria-label": `Remove ${byNumber.get(action).name}` }, textNodes(`${byNumber.get(action).name} ✕`));
      made.addEventListener("click", () => drop(clip, number, action));
      return made;
    });
  }

  function foundList(clip, number, box, text) {
    const shown = matching(text), grouped = !text.trim();
    const lines = shown.flatMap((one, place) => {
      const made = el("button", { type: "button" }, textNodes(one.name),
        el("small", {}, textNodes([one.group, one.definition, one.neighbours].filter(Boolean).join(" · "))));
      made.addEventListener("click", () => { take(clip, number, one.id); box.querySelector("input").value = ""; });
      const heads = grouped && one.group !== shown[place - 1]?.group;
      return [heads ? el("li", { class: "group" }, textNodes(one.group)) : null, el("li", {}, made)].filter(Boolean);
    });
    return el("ul", { class: "found" }, ...lines);
  }

  function personBox(clip, number, place) {
    const search = el("input", { type: "search", placeholder: "search an action", "aria-label": `Search an action of person ${number}`, autocomplete: "off" });
    const box = el("section", { class: "person", "data-person": String(number) },
      el("h3", {}, `Person ${number}`), el("div", { class: "taken" }, ...takenOf(clip, number)), search);
    const look = () => {
      box.querySelector(".found")?.remove();
      if (search.value.trim() || document.activeElement === search) box.append(foundList(clip, number, box, search.value));
    };
    search.addEventListener("input", look);
    search.addEventListener("focus", () => { person = place; look(); });
    box.addEventListener("focusin", () => mark(box));
    search.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      const [first] = matching(search.value);
      if (first && search.value.trim()) take(clip, number, first.id);
      search.value = "";
      look();
    });
    return box;
  }

  // Only the person who is worked on has a list of actions.
  function mark(current) {
    for (const box of viewer.body.querySelectorAll(".person")) {
      box.classList.toggle("current", box === current);
      if (box !== current) box.querySelector(".found")?.remove();
    }
  }

  function field(clip, name, input) {
    input.maxLength = longest;
    input.value = known(clip)[name] || "";
    input.addEventListener("focus", () => mark(null));
    input.addEventListener("input", () => change(clip, { [name]: input.value }));
    return input;
  }

  function opened(clip) {
    person = 0;
    const words = (one) => `${one.stage}: ${one.passed ? one.numbers || "passed" : one.reason}`;
    return [
      el("ul", { class: "verdicts" }, ...clip.verdicts.map((one) => el("li", { class: one.passed ? "" : "failed" }, textNodes(words(one))))),
      clip.origin ? textBox(`${clip.kind} footage, ${clip.origin}`, "p", "text note") : null,
      clip.frames.length
        ? el("div", { class: "scenes" }, ...clip.frames.map((frame) => el("figure", {}, scene(clip, frame), el("figcaption", {}, caption(frame)))))
        : el("p", { class: "note" }, textNodes(`no pictures: ${clip.why}`)),
      el("div", { id: "decision" }, ...decisions(clip).filter(Boolean)),
      el("div", { id: "labels", ...(state(clip) === "reject" ? { hidden: "" } : {}) },
        ...clip.persons.map((number, place) => personBox(clip, number, place)),
        el("label", { class: "caption" }, el("span", {}, "Caption"), field(clip, "caption", el("textarea", { id: "caption", rows: "3" }))),
        el("div", { class: "sources" }, ...sources.map((name) => el("label", {}, el("span", {}, name[0].toUpperCase() + name.slice(1)), field(clip, name, el("input", { "data-source": name })))))),
    ];
  }

  function redraw(clip) {
    byId("decision").replaceChildren(...decisions(clip).filter(Boolean));
    byId("labels").hidden = state(clip) === "reject";
    for (const number of clip.persons) viewer.body.querySelector(`[data-person="${number}"] .taken`).replaceChildren(...takenOf(clip, number));
  }

  // Export.

  function rowsOf(clip) {
    const now = known(clip);
    const own = { video_id: clip.id, annotator: book.name, decision: now.decision, fingerprint: clip.fingerprint };
    if (now.decision === "reject") return [{ ...own, reason: now.reason }];
    const told = Object.fromEntries(["caption", ...sources].map((name) => [name, plain(now[name])]));
    return clip.persons.map((number) => ({ ...own, ...told, person_id: String(number), actions: (now.actions[number] || []).join(" ") }));
  }

  function save() {
    const { name } = book;
    if (!name) { byId("annotator").focus(); return problem("Give your name first: it goes with each row."); }
    const without = clips.find((clip) => state(clip) === "reject" && !known(clip).reason);
    if (without) { openClip(without); return problem(`${without.id} is rejected without a reason: choose one.`); }
    book.keep();
    const undecided = clips.filter((clip) => book.said[clip.id] && state(clip) === "open");
    problem(undecided.length ? `${undecided.length} clips have labels or a caption but no decision, and are left out; the first is ${undecided[0].id}.` : "");
    const decided = clips.filter((clip) => state(clip) !== "open");
    microg.notebook.save(columns, decided.flatMap(rowsOf), `review-${name.replace(/[^\w-]+/g, "-")}.csv`);
  }

  // Keys and start.

  function openClip(clip) {
    if (!list.items.includes(clip)) { byId("tools").elements.state.value = ""; byId("search").value = ""; refill(); }
    list.select(list.items.indexOf(clip), !viewer.shown);
    viewer.open();
  }

  function nextOpen() {
    const start = list.items.indexOf(list.item);
    const order = [...list.items.slice(start + 1), ...list.items.slice(0, start)];
    const next = order.find((clip) => state(clip) === "open");
    if (next) openClip(next);
  }

  function focusSearch(step = 0) {
    const boxes = [...viewer.body.querySelectorAll(".person input")];
    if (!boxes.length) return;
    person = (person + step) % boxes.length;
    boxes[person].focus();
  }

  const KEYS = {
    a: (clip) => decide(clip, "accept"),
    r: (clip) => decide(clip, "reject"),
    "/": () => focusSearch(),
    p: () => focusSearch(1),
    c: () => byId("caption").focus(),
    n: nextOpen,
  };

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const inField = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
    if (inField) {
      if (event.key === "Escape") { event.target.blur(); viewer.title.focus(); event.preventDefault(); }
      return;
    }
    const step = { j: 1, ArrowDown: viewer.shown ? 0 : 1, ArrowRight: 1, k: -1, ArrowUp: viewer.shown ? 0 : -1, ArrowLeft: -1 }[event.key];
    const digit = Number(event.key);
    if (step) viewer.move(step);
    else if (viewer.shown && state(list.item) === "reject" && digit >= 1 && digit <= reasons.length) change(list.item, { reason: reasons[digit - 1] });
    else if (viewer.shown && Object.hasOwn(KEYS, event.key)) KEYS[event.key](list.item);
    else if (event.key === "n") nextOpen();
    else if (event.key === "/") byId("search").focus();
    else return;
    event.preventDefault();
  }

  setOptions(byId("state"), Object.entries(STATES));
  book.load();
  byId("annotator").addEventListener("input", () => book.load()); // the list follows a moment later, and stays while it is clicked
  byId("export").addEventListener("click", save);
  byId("list").addEventListener("click", (event) => {
    const clicked = event.target.closest(".row");
    if (!clicked) return;
    list.select(Number(clicked.dataset.place));
    viewer.open();
  });
  document.addEventListener("keydown", pressed);
  addEventListener("storage", (event) => { // another tab works on the same clips
    if (!book.holds(event.key)) return;
    book.load();
    if (viewer.shown) redraw(list.item);
    else refill();
  });
  listen(byId("tools"), refill, 120);
  refill();
  const linked = clips.find((clip) => clip.id === viewer.linked);
  if (linked) openClip(linked);
  document.documentElement.dataset.ready = "yes";
}
