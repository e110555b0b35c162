"use strict";
// The page on which clips are reviewed: a list of clips, and a dialog in which one is decided, labelled and captioned.
{
  const { byId, readData, el, textNodes, textBox } = microg.dom;
  const { withWords } = microg.filters;
  const { choice, plain } = microg.Reviewing;

  const data = readData();
  const { clips, actions, reasons, sources, most, longest } = data;
  const byNumber = new Map(actions.map((one) => [one.id, one]));
  let person = 0; // the place of the current person in the opened clip

  // What is said of a clip is {decision, reason, actions: {person: [id, ...]}, caption, mission, ...}.
  const review = new microg.Reviewing({
    items: clips,
    noun: "clips",
    worked: "have labels or a caption",
    columns: data.columns,
    decisions: { accept: "accepted", reject: "rejected" },
    blank: (clip) => ({ actions: {}, ...clip.prefill }),
    text: (clip) => `${clip.id} ${clip.verdicts.map((one) => `${one.stage} ${one.reason}`).join(" ")}`,
    lacks: (clip) => (state(clip) === "reject" && !known(clip).reason ? "is rejected without a reason: choose one" : ""),
    row, opened, redraw, rows, pressed,
  });
  const viewer = review.viewer;
  const known = (clip) => review.known(clip);
  const state = (clip) => review.state(clip);
  const change = (clip, changes) => review.change(clip, changes);
  const problem = (text) => review.problem(text);

  // The list.

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
      el("div", {}, open, el("div", {}, review.badge(clip))),
      clip.frames.length ? el("div", { class: "thumbs" }, ...clip.frames.filter((_, k) => k % 2).map((frame) => scene(clip, frame))) : el("p", { class: "note" }, textNodes(`no pictures: ${clip.why}`)),
      el("div", { class: "note" }, textNodes(failed ? `${failed.stage}: ${failed.reason}` : `${clip.persons.length} ${clip.persons.length === 1 ? "person" : "people"}, ${clip.kind} footage`)))];
  }

  // The opened clip. What is typed is not drawn again, so that the cursor stays.

  function decide(clip, decision) {
    if (decision === "accept" && !clip.persons.length) return problem(`${clip.id} has no person with a box: it cannot be accepted.`);
    problem("");
    change(clip, { decision, reason: decision === "accept" ? "" : known(clip).reason });
  }

  function decisions(clip) {
    const now = known(clip);
    const given = [choice("Accept", now.decision === "accept", () => decide(clip, "accept")), choice("Reject", now.decision === "reject", () => decide(clip, "reject"))];
    const why = reasons.map((reason, k) => choice(`${k + 1} ${reason}`, now.reason === reason, () => change(clip, { decision: "reject", reason })));
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

  // The rows of a clip in the file: one a person.
  function rows(clip, now) {
    const own = { video_id: clip.id };
    if (now.decision === "reject") return [{ ...own, reason: now.reason }];
    const told = Object.fromEntries(["caption", ...sources].map((name) => [name, plain(now[name])]));
    return clip.persons.map((number) => ({ ...own, ...told, person_id: String(number), actions: (now.actions[number] || []).join(" ") }));
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
  };

  function pressed(key, clip) {
    const digit = Number(key);
    if (state(clip) === "reject" && digit >= 1 && digit <= reasons.length) change(clip, { reason: reasons[digit - 1] });
    else if (Object.hasOwn(KEYS, key)) KEYS[key](clip);
    else return false;
    return true;
  }

  review.start();
}
