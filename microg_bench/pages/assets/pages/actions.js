"use strict";
// The page of runs of action recognition: their actions, what they missed, and a list of key frames with a viewer.
{
  const { byId, readData, el, textNodes, textBox, number, scrolled } = microg.dom;
  const { setOptions, values, listen, predicate, withWords } = microg.filters;

  const data = readData();
  const { actions, runs, frames } = data;
  const OUTCOMES = { right: ["✓", "true and claimed"], missed: ["○", "true, missed"], false: ["✕", "claimed, false"], low: ["·", "ranks high, not claimed"] };
  const SHOWN = 6; // actions of a box in the list
  const MOST = 8; // actions that were predicted instead of a missed one

  // What a model said of a box.

  function outcome(box, action, logit) {
    const claimed = logit >= data.threshold;
    if (box.true.includes(action)) return claimed ? "right" : "missed";
    return claimed ? "false" : "low";
  }

  // Each action that was said of a box, or should have been: [{action, logit, outcome}], the highest logit first; a true
  // one that the model has no output for has no logit. Null where the model has not looked at the box.
  function said(box, run) {
    const given = box.said[run];
    if (!given) return null;
    const asked = runs[run].asked;
    const found = given.map(([action, logit]) => ({ action, logit, asked, outcome: outcome(box, action, logit) }));
    const without = box.true.filter((action) => !given.some(([one]) => one === action));
    return [...found, ...without.map((action) => ({ action, logit: null, outcome: "missed" }))];
  }

  // In the list: what is true or claimed, at least one.
  function brief(all) {
    const told = all.filter((one) => one.outcome !== "low");
    return all.some((one) => one.outcome === "right" || one.outcome === "false") ? told : [...all.slice(0, 1).filter((one) => one.outcome === "low"), ...told];
  }

  const probability = (logit) => `${number(100 / (1 + Math.exp(-logit)), 1)}%`;

  function line(one) {
    const [sign, words] = OUTCOMES[one.outcome];
    const scored = one.asked ? number : (logit) => `${probability(logit)} (${number(logit)})`;
    const told = one.logit === null ? "no output" : scored(one.logit);
    return el("li", { class: `said ${one.outcome}` },
      el("i", { class: "mark", role: "img", "aria-label": words, title: words }, sign),
      el("span", {}, textNodes(actions[one.action].name), " ", el("small", {}, told)));
  }

  function saidList(all, whole, failed, asked) {
    if (!all) return el("span", { class: "muted" }, "not looked at");
    if (failed) return el("div", {}, el("p", { class: "warning failed" }, textNodes(`failed: ${failed}`)), all.length ? saidList(all, whole, null, asked) : null);
    if (!all.length) return el("span", { class: "muted" }, asked ? "no action named" : "no action ranks above others");
    const told = whole ? all : brief(all), more = told.length - SHOWN;
    const lines = (more > 0 && !whole ? told.slice(0, SHOWN) : told).map(line);
    return el("ul", {}, ...lines, more > 0 && !whole ? el("li", { class: "muted" }, `and ${more} more`) : null);
  }

  function people(frame, whole) {
    const row = (box, place) => el("tr", {},
      el("th", { scope: "row", class: "person" }, String(place + 1)),
      el("td", { "data-column": "truth" }, box.true.length
        ? el("ul", {}, ...box.true.map((action) => el("li", {}, textNodes(actions[action].name))))
        : el("span", { class: "muted" }, "no action")),
      ...runs.map((run, k) => el("td", { "data-column": run.name }, saidList(said(box, k), whole, box.failed[k], run.asked))));
    return el("table", { class: "people" },
      el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "person" }, "box"), el("th", { scope: "col" }, "truth"), ...runs.map((run) => el("th", { scope: "col" }, textBox(run.name, "bdi"))))),
      el("tbody", {}, ...frame.boxes.map(row)));
  }

  // The picture with its boxes, each with its number.
  function scene(frame) {
    if (!frame.picture) return el("p", { class: "note scene" }, textNodes(`no picture: ${frame.why}`));
    const boxes = frame.boxes.map((box, place) => ({ name: String(place + 1), corners: box.corners }));
    return microg.scene(frame.picture, frame.size, boxes, `frame ${frame.frame} of ${frame.clip}, ${frame.boxes.length} boxes`);
  }

  // Filters and order.

  // Everything that the runs said of a frame: [{run, action, outcome}].
  const known = new Map();
  function everything(frame) {
    if (!known.has(frame)) {
      const all = frame.boxes.flatMap((box) => runs.flatMap((_, run) => (said(box, run) || box.true.map((action) => ({ action, outcome: "unseen" })))
        .map((one) => ({ run, action: one.action, outcome: one.outcome }))));
      known.set(frame, all.filter((one) => one.outcome !== "low"));
    }
    return known.get(frame);
  }

  // One thing that was said must be of this action or group, by this run, with this outcome, all at once.
  const ONE = {
    action: (place) => (one) => String(one.action) === place,
    group: (name) => (one) => actions[one.action].group === name,
    outcome: (name) => (one) => one.outcome === name,
    run: (place) => (one) => String(one.run) === place,
  };
  const TESTS = {
    footage: (kind) => (frame) => frame.footage === kind,
    search: (text) => withWords(text, (frame) => frame.id),
  };

  function chosen(given) {
    const passes = predicate(given, TESTS), one = predicate(given, ONE);
    const asked = Object.keys(ONE).some((id) => given[id]);
    return frames.filter((frame) => passes(frame) && (!asked || everything(frame).some(one)));
  }

  function ordered(found, given) {
    if (!given.order) return found;
    const counts = (one) => one.outcome === given.order && (!given.run || String(one.run) === given.run);
    return microg.table.sorted(found, (frame) => everything(frame).filter(counts).length, true);
  }

  const several = (places, all) => [...(places.length > 1 ? [["", all]] : []), ...places];

  function fillTools() {
    const byName = microg.table.sorted(actions.map((one, place) => [String(place), one.name]), ([, name]) => name, false);
    setOptions(byId("action"), [["", "any"], ...byName]);
    setOptions(byId("group"), [["", "any"], ...[...new Set(actions.map((one) => one.group))].map((name) => [name, name])]);
    setOptions(byId("outcome"), [["", "any"], ...["missed", "false", "right"].map((name) => [name, OUTCOMES[name][1]]), ["unseen", "not looked at"]]);
    setOptions(byId("run"), several(runs.map((run, place) => [String(place), run.name]), "any"));
    setOptions(byId("footage"), several([...new Set(frames.map((frame) => frame.footage))].map((kind) => [kind, kind]), "any"));
    setOptions(byId("order"), [["", "as in the dataset"], ["missed", "most missed first"], ["false", "most false claims first"]]);
  }

  // The list and the viewer.

  function build(frame, place) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(frame.clip));
    return [el("article", { class: "keyframe", "data-place": String(place) },
      el("div", { class: "what" }, open, el("span", { class: "note" }, `frame ${frame.frame} · ${frame.footage}`)),
      scene(frame), people(frame, false))];
  }

  const content = (frame) => ({
    title: `${frame.clip} · frame ${frame.frame}`,
    nodes: [el("p", { class: "muted" }, `${frame.footage} footage · all true and claimed actions, and those that rank highest`), scene(frame), people(frame, true)],
  });

  const list = new microg.List(byId("list"), byId("end"), build);
  const viewer = new microg.Viewer(list, content);

  function refill() {
    const given = values(byId("tools"));
    list.fill(ordered(chosen(given), given));
    byId("count").textContent = `${list.items.length.toLocaleString("en")} of ${frames.length.toLocaleString("en")} key frames`;
    byId("end").textContent = list.items.length ? "" : "No key frame is like that.";
  }

  // Opens what the address names. A key frame far down is searched for by its clip: the list before it is not built.
  function openLinked() {
    viewer.openLinked(frames, (frame) => {
      byId("tools").reset();
      byId("search").value = frame.id;
      refill();
    });
  }

  function openClicked(event) {
    const row = event.target.closest("[data-place]");
    if (!row || String(getSelection())) return; // text that is being selected is no click
    list.select(Number(row.dataset.place));
    viewer.open();
  }

  // Actions.

  function drawScatters() {
    byId("scatters").append(...runs.map((run, k) => {
      const points = actions.filter((one) => one.AP[k] !== null).map((one) => ({ x: one.examples, y: one.AP[k], bounds: null, name: one.name, kind: "open" }));
      const described = `AP against examples of ${points.length} actions`;
      return el("figure", {}, el("figcaption", {}, "AP against examples", runs.length > 1 ? ": " : "", runs.length > 1 ? textBox(run.name, "bdi") : ""),
        scrolled(described, "", microg.charts.scatter({ points, lines: [], label: "examples", described, top: 100 })));
    }));
  }

  const view = { name: "examples", descending: true };
  const AP = (k) => (runs.length > 1 ? `AP ${runs[k].name}` : "AP");

  function columns() {
    const gap = data.gaps[Number(byId("pair").value)];
    return [
      { name: "action", key: (one) => one.name },
      { name: "group", key: (one) => one.group },
      { name: "examples", number: true, key: (one) => one.examples, cell: (one) => barCell(one.examples, 0, microg.charts.scoreBar(one.examples, null, Math.max(...actions.map((any) => any.examples)))) },
      ...runs.map((_, k) => ({ name: AP(k), number: true, key: (one) => one.AP[k], cell: (one) => barCell(one.AP[k], 2, microg.charts.scoreBar(one.AP[k] ?? 0, null, 100)) })),
      ...(gap ? [{ name: "gap", number: true, key: (one) => gap.values[actions.indexOf(one)], cell: (one) => gapCell(gap.values[actions.indexOf(one)], gap.values) }] : []),
    ];
  }

  function barCell(value, digits, bar) {
    return el("td", { class: "number bar-cell" }, number(value, digits), value === null ? null : bar);
  }

  function gapCell(value, all) {
    const reach = Math.max(...all.map((one) => Math.abs(one ?? 0))) || 1;
    return el("td", { class: "number bar-cell" }, value === null ? "n/a" : (value > 0 ? "+" : "") + number(value), value === null ? null : microg.charts.gapBar(value, reach));
  }

  function openAction(place) {
    return el("button", { type: "button", class: "open-action", "data-action": String(place) }, textNodes(actions[place].name));
  }

  function showActions() {
    const shown = columns(), by = shown.find((one) => one.name === view.name) || shown[0];
    const rows = microg.table.sorted(actions, by.key, view.descending).map((one) => el("tr", {},
      el("th", { scope: "row" }, openAction(actions.indexOf(one))),
      el("td", { class: "group" }, one.group),
      ...shown.slice(2).map((column) => column.cell(one))));
    byId("by-action").replaceChildren(microg.table.head(shown, view), el("tbody", {}, ...rows));
  }

  // Missed actions.

  function instead(counts, of) {
    const name = (action) => (action === of ? "itself" : actions[action].name);
    const more = counts.length - MOST;
    return el("ul", {},
      ...counts.slice(0, MOST).map(([action, count]) => el("li", {}, textNodes(name(action)), `\u00a0×${count}`)),
      more > 0 ? el("li", { class: "muted" }, `and ${more} more`) : null);
  }

  function showMissed() {
    const { missed } = runs[Number(byId("missed-run").value)];
    const heads = ["action", "missed", "claimed instead", "nothing claimed, ranks highest"];
    const rows = missed.map((one) => el("tr", {},
      el("th", { scope: "row" }, openAction(one.action)),
      el("td", { class: "number" }, `${one.missed} of ${one.true}`),
      el("td", {}, instead(one.claimed, one.action)),
      el("td", {}, instead(one.ranked, one.action))));
    byId("missed").replaceChildren(
      el("thead", {}, el("tr", {}, ...heads.map((name) => el("th", { scope: "col", class: name === "missed" ? "number" : "" }, name)))),
      el("tbody", {}, ...rows));
  }

  function chooseAction(event) {
    const place = event.target.closest("[data-action]")?.dataset.action;
    if (place === undefined) return;
    byId("tools").reset();
    byId("action").value = place;
    if (event.currentTarget.id === "missed") {
      byId("outcome").value = "missed";
      byId("run").value = runs.length > 1 ? byId("missed-run").value : "0";
    }
    refill();
    byId("seen").scrollIntoView();
  }

  function sortActions(event) {
    const name = event.target.closest("[data-sort]")?.dataset.sort;
    if (name === undefined) return;
    const { number: counts } = columns().find((one) => one.name === name);
    Object.assign(view, { name, descending: view.name === name ? !view.descending : Boolean(counts) });
    showActions();
    [...byId("by-action").querySelectorAll("[data-sort]")].find((one) => one.dataset.sort === name).focus();
  }

  addEventListener("beforeprint", () => list.grow(list.items.length));
  addEventListener("hashchange", openLinked);
  byId("list").addEventListener("click", openClicked);
  byId("by-action").addEventListener("click", chooseAction);
  byId("by-action").addEventListener("click", sortActions);
  byId("missed").addEventListener("click", chooseAction);
  byId("pair").addEventListener("change", showActions);
  byId("missed-run").addEventListener("change", showMissed);
  listen(byId("tools"), refill, 120);
  microg.listenToKeys(list, viewer, { "/": () => byId("search").focus() });

  fillTools();
  setOptions(byId("pair"), data.gaps.map(({ first, second }, k) => [String(k), `${runs[second].name} − ${runs[first].name}`]));
  setOptions(byId("missed-run"), runs.map((run, k) => [String(k), run.name]));
  byId("pair-of").hidden = !data.gaps.length;
  byId("missed-of").hidden = runs.length < 2;
  byId("run").parentElement.hidden = runs.length < 2;
  drawScatters();
  showActions();
  showMissed();
  refill();
  openLinked();
  document.documentElement.dataset.ready = "yes";
}
