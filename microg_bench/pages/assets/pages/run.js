"use strict";
// The page of a run: a list of its items with filters, an order, and a viewer.
{
  const { byId, readData, el, textBox, number } = microg.dom;
  const { setOptions, predicate, withWords } = microg.filters;
  const { explained } = microg.help;
  const { THINKS, row, sides, side, badges } = microg.items;

  const data = readData();
  const clipOf = (item) => data.clips[item.clip];
  const scoresOf = (place, k) => data.items.filter((item) => item.task === place && item.scores[k] !== null).map((item) => item.scores[k]);

  // By task, the metrics that score single items. A full bar is 100 long, or as long as the largest score.
  const metrics = data.tasks.map((task, place) => task.metrics.map((name, k) => ({ name, top: scoresOf(place, k).reduce((a, b) => Math.max(a, b), 100) })));

  function nameOf(item) {
    return data.tasks[item.task].name === "caption" ? "Caption" : `Question ${item.id.slice(item.id.lastIndexOf("#") + 1)}`;
  }

  // Filters and order.

  const PLAIN = "other answers"; // of which nothing is to be told

  // Of several that are true of an item, the first is its outcome.
  const OUTCOMES = {
    failed: ["failed", (item) => Boolean(item.failure)],
    unanswered: ["not answered", (item) => item.answer === undefined],
    ...Object.fromEntries(Object.entries(data.endings).filter(([reason]) => reason !== "stop").map(([reason, words]) => [reason, [words, (item) => item.ended === words]])),
    empty: ["empty answer", (item) => item.answer !== undefined && !item.answer.trim()],
    thinks: [THINKS, (item) => Boolean(item.thinks)],
  };

  function textOf(item) {
    const failure = item.failure ? [item.failure.reason, item.failure.text || ""] : [];
    return [item.id, clipOf(item).source, item.question || "", item.reference || "", item.answer || "", ...failure].join("\n");
  }

  const TESTS = {
    task: (place) => (item) => String(item.task) === place,
    answerable: (kind) => (item) => item.question !== null && item.unanswerable === (kind === "unanswerable"),
    source: (name) => (item) => clipOf(item).source === name,
    outcome: (name) => OUTCOMES[name][1],
    search: (text) => withWords(text, textOf),
  };

  // Orders are "" (as in the dataset), "worst:METRIC" and "best:METRIC". An item without a score comes first of the
  // worst, since it failed, and last of the best; one of a task without that metric comes last.
  function ordered(items, order) {
    if (!order) return items;
    const [how, metric] = order.split(":");
    const places = data.tasks.map((task) => task.metrics.indexOf(metric));
    const key = (item) => places[item.task] < 0 ? null : item.scores[places[item.task]] ?? -Infinity;
    return microg.table.sorted(items, key, how === "best");
  }

  function fillTools() {
    setOptions(byId("task"), [...(data.tasks.length > 1 ? [["", "all"]] : []), ...data.tasks.map((task, k) => [String(k), task.title])]);
    const sources = [...new Set(data.clips.map((clip) => clip.source))].sort();
    setOptions(byId("source"), [["", `all ${sources.length}`], ...sources.map((source) => [source, source])]);
    setOptions(byId("outcome"), [["", "all"], ...Object.entries(OUTCOMES).map(([name, [words]]) => [name, words])]);
    const names = [...new Set(data.tasks.flatMap((task) => task.metrics))];
    const orders = ["worst", "best"].flatMap((how) => names.map((metric) => [`${how}:${metric}`, `${how} ${metric} first`]));
    setOptions(byId("order"), [["", "as in the dataset"], ...orders]);
  }

  // The list and the viewer.

  function clipHead(clip) {
    return el("header", { class: "clip" },
      el("h3", {}, textBox(clip.id, "bdi"), " ", el("small", {}, "source ", textBox(clip.source, "bdi"))),
      microg.frames.strip(clip, data.pictures));
  }

  function build(item, place, previous) {
    const head = !previous || previous.clip !== item.clip ? [clipHead(clipOf(item))] : [];
    return [...head, row(item, place, nameOf(item), metrics[item.task])];
  }

  // The share of the items of its task that score lower, in percent.
  function rank(item, k) {
    const scores = scoresOf(item.task, k);
    return `${Math.round((100 * scores.filter((score) => score < item.scores[k]).length) / scores.length)}%`;
  }

  const UNSCORED = "An item without an answer has no score, and neither has one that a score leaves out.";

  function heading(name, help, className = "number") {
    return el("th", { scope: "col", class: className }, explained(name, help));
  }

  function scoreTable(item) {
    if (!metrics[item.task].length) return el("p", { class: "note" }, "There are no scores of single items: this run came without its statistics.");
    const line = ({ name }, k) => el("tr", {},
      el("th", { scope: "row" }, name),
      el("td", { class: "number" }, item.scores[k] === null ? explained("n/a", UNSCORED) : number(item.scores[k])),
      el("td", { class: "number" }, item.scores[k] === null ? "" : rank(item, k)));
    return el("table", {},
      el("thead", {}, el("tr", {}, heading("Score of this item", "What this score gives for the item alone.", ""), heading("×100", "From 0 to 100; CIDEr can be higher."), heading("items that score lower", "The share of the items of this task with a lower score."))),
      el("tbody", {}, ...metrics[item.task].map(line)));
  }

  // What was sent for an item and what it took; folded up.
  function sentBox(item) {
    return el("details", { class: "sent" }, el("summary", {}, "messages sent"), item.prompt === undefined
      ? el("p", { class: "note" }, data.tasks[item.task].unsent)
      : microg.messages(data.prompts[item.prompt], item.question));
  }

  function tookBox(item) {
    if (item.answer === undefined && !item.tokens) return null;
    const counts = (item.tokens || []).map((count, k) => count === null ? "" : `${data.tokens[k]} ${count.toLocaleString("en")}`).filter(Boolean);
    return el("p", { class: "note took" }, `response ${item.ended || data.endings.stop} · `, counts.length
      ? `tokens: ${counts.join(", ")}`
      : explained("no token counts", "The engine told none."));
  }

  function content(item) {
    const clip = clipOf(item);
    const nodes = [
      el("p", { class: "muted" }, "source ", textBox(clip.source, "bdi"), " ", ...badges(item)),
      microg.frames.player(clip, data.pictures),
      microg.frames.allFrames(clip, data.pictures),
      item.question === null ? null : textBox(item.question, "div", "text question"),
      el("div", { class: "pair" }, ...sides(item)),
      item.said === undefined ? null : side("what the model wrote, word for word", textBox(item.said)),
      tookBox(item),
      sentBox(item),
      scoreTable(item),
    ];
    return { title: `${clip.id} · ${nameOf(item)}`, nodes };
  }

  // What became of an item that has a score, in words.
  function outcomeOf(item) {
    const found = Object.values(OUTCOMES).find(([, test]) => test(item));
    return found ? found[0] : PLAIN;
  }

  // The scores of a task by outcome, the plain answers first.
  function scoreGroups(place, k) {
    const groups = new Map([[PLAIN, []]]);
    for (const item of data.items) {
      if (item.task !== place || item.scores[k] === null) continue;
      const name = outcomeOf(item);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(item.scores[k]);
    }
    return [...groups].map(([name, values]) => ({ name, values }));
  }

  function drawHistograms() {
    for (const [place, names] of metrics.entries()) for (const [k, { name }] of names.entries()) {
      const tile = [...byId(`tiles-${place}`).children].find((one) => one.dataset.metric === name);
      if (scoresOf(place, k).length) tile.append(microg.charts.histogram(scoreGroups(place, k)));
    }
  }

  function showSent() {
    for (const [place] of data.tasks.entries()) {
      const first = data.items.find((item) => item.task === place && item.prompt !== undefined);
      if (first) byId(`sent-${place}`).append(microg.messages(data.prompts[first.prompt], first.question));
    }
  }

  // A link to a part of the page that is folded up unfolds it.
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    for (const one of link ? document.querySelectorAll(`${link.getAttribute("href")} > details`) : []) one.open = true;
  });

  fillTools();
  drawHistograms();
  showSent();
  microg.browse({ items: data.items, clipOf, choose: (given) => ordered(data.items.filter(predicate(given, TESTS)), given.order), build, content });
  document.documentElement.dataset.ready = "yes";
}
