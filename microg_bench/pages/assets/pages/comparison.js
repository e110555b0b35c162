"use strict";
// The page of runs side by side: the same items with the answers of all, those first on which they differ most.
{
  const { byId, readData, el, textNodes, textBox } = microg.dom;
  const { setOptions, predicate, withWords } = microg.filters;
  const { sides, side, badges, scoreGrid } = microg.items;

  const data = readData();
  const { letters } = data;
  const clipOf = (item) => data.clips[item.clip];
  const tops = data.tasks.map((task, place) => task.metrics.map((_, k) => topOf(place, k)));

  // A full bar is 100 long, or as long as the largest score.
  function topOf(place, k) {
    const scores = data.items.filter((item) => item.task === place).flatMap((item) => item.runs.map((one) => one.scores[k] ?? 0));
    return scores.reduce((a, b) => Math.max(a, b), 100);
  }

  const metricsOf = (item) => data.tasks[item.task].metrics.map((name, k) => ({ name, top: tops[item.task][k] }));

  function nameOf(item) {
    return item.question === null ? "Caption" : `Question ${item.id.slice(item.id.lastIndexOf("#") + 1)}`;
  }

  // The scores of an item under the chosen metric, by run; null where a run has none.
  function scoresOf(item) {
    const k = data.tasks[item.task].metrics.indexOf(byId("metric").value);
    return item.runs.map((one) => k < 0 ? null : one.scores[k]);
  }

  // How far the runs lie apart; null where less than two have a score.
  function apart(item) {
    const known = scoresOf(item).filter((score) => score !== null);
    return known.length < 2 ? null : Math.max(...known) - Math.min(...known);
  }

  // Filters.

  const said = (item) => item.runs.map((one) => one.answer);
  const OUTCOMES = {
    differ: (item) => new Set(said(item)).size > 1,
    same: (item) => new Set(said(item)).size === 1 && said(item)[0] !== undefined,
    failed: (item) => said(item).includes(undefined),
  };

  function isBest(item, place) {
    const scores = scoresOf(item).map((score) => score ?? -Infinity);
    return scores.every((score, k) => k === place || score < scores[place]);
  }

  function textOf(item) {
    return [item.id, clipOf(item).source, item.question || "", item.reference || "", ...said(item).filter(Boolean)].join("\n");
  }

  const TESTS = {
    task: (place) => (item) => String(item.task) === place,
    outcome: (kind) => OUTCOMES[kind],
    best: (place) => (item) => isBest(item, Number(place)),
    source: (name) => (item) => clipOf(item).source === name,
    search: (text) => withWords(text, textOf),
  };

  function fillTools() {
    setOptions(byId("task"), [...(data.tasks.length > 1 ? [["", "all"]] : []), ...data.tasks.map((task, k) => [String(k), task.title])]);
    const names = [...new Set(data.tasks.flatMap((task) => task.metrics))];
    setOptions(byId("metric"), names.map((name) => [name, name]));
    if (names.includes("ROUGE-L")) byId("metric").value = "ROUGE-L";
    setOptions(byId("best"), [["", "any"], ...letters.map((letter, k) => [String(k), letter])]);
    const sources = [...new Set(data.clips.map((clip) => clip.source))].sort();
    setOptions(byId("source"), [["", `all ${sources.length}`], ...sources.map((source) => [source, source])]);
  }

  // The list and the viewer.

  function answers(item) {
    return item.runs.map((own, k) => {
      const one = { ...own, reference: item.reference };
      const node = sides(one, letters[k])[1];
      node.dataset.run = letters[k];
      node.append(...badges(one), scoreGrid(own, metricsOf(item)));
      return node;
    });
  }

  function reference(item) {
    return item.reference === null ? null : side("reference", textBox(item.reference));
  }

  // The answers of two runs stand beside the reference, those of more below it.
  function answersBox(item) {
    return el("div", { class: letters.length > 2 ? "answers many" : "answers" }, reference(item), ...answers(item));
  }

  function clipHead(clip) {
    return el("header", { class: "clip" },
      el("h3", {}, textBox(clip.id, "bdi"), " ", el("small", {}, "source ", textBox(clip.source, "bdi"))),
      microg.frames.strip(clip, data.pictures));
  }

  function build(item, place, previous) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(nameOf(item)));
    const mark = item.unanswerable ? el("span", { class: "badge" }, "unanswerable") : null;
    const row = el("article", { class: "item", "data-place": String(place) },
      el("div", { class: "what" }, open, mark),
      item.question === null ? null : textBox(item.question, "div", "text question"),
      answersBox(item));
    for (const summary of row.querySelectorAll("summary")) summary.tabIndex = -1; // a row is one stop of the Tab key
    return !previous || previous.clip !== item.clip ? [clipHead(clipOf(item)), row] : [row];
  }

  function content(item) {
    const clip = clipOf(item);
    const nodes = [
      el("p", { class: "muted" }, "source ", textBox(clip.source, "bdi")),
      microg.frames.player(clip, data.pictures),
      microg.frames.allFrames(clip, data.pictures),
      item.question === null ? null : textBox(item.question, "div", "text question"),
      answersBox(item),
    ];
    return { title: `${clip.id} · ${nameOf(item)}`, nodes };
  }

  function choose(given) {
    const found = data.items.filter(predicate(given, TESTS));
    return given.order ? microg.table.sorted(found, apart, true) : found;
  }

  fillTools();
  microg.browse({ items: data.items, clipOf, choose, build, content });
  document.documentElement.dataset.ready = "yes";
}
