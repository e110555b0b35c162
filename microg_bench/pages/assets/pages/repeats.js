"use strict";
// The page of repeats, and that of paraphrases: charts of scores, and the answers to each request side by side.
{
  const { byId, readData, el, textNodes, textBox, number, scrolled } = microg.dom;
  const { setOptions, predicate, withWords } = microg.filters;

  const { items, clips, tasks, runs, pictures } = readData();
  const clipOf = (item) => clips[item.clip];

  // Whether all runs answered alike; null where one gave no answer.
  const alike = (item) => item.answers.includes(null) ? null : item.texts.length === 1;

  function textOf(item) {
    return [item.id, clipOf(item).source, ...item.asked, item.reference || "", ...item.texts].join("\n");
  }

  const TESTS = {
    task: (place) => (item) => String(item.task) === place,
    outcome: (kind) => (item) => alike(item) === (kind === "same"),
    source: (name) => (item) => clipOf(item).source === name,
    search: (text) => withWords(text, textOf),
  };

  function fillTools() {
    const sources = [...new Set(clips.map((clip) => clip.source))].sort();
    setOptions(byId("task"), [["", "all"], ...tasks.map((task, place) => [String(place), task.title])]);
    setOptions(byId("source"), [["", `all ${sources.length}`], ...sources.map((name) => [name, name])]);
  }

  // An answer below the names of the runs that gave it, and what they were asked where that is not the same for all.
  function side(item, names, asked, place) {
    const first = item.answers.find((one) => one !== null), other = place !== null && place !== first;
    let answer = el("div", { class: "missing" }, "no answer");
    if (place !== null && !item.texts[place].trim()) answer = el("div", { class: "missing" }, "empty answer");
    else if (other) answer = el("div", { class: "text", dir: "auto" }, microg.differences(item.texts[first], item.texts[place])[1]);
    else if (place !== null) answer = textBox(item.texts[place]);
    return el("div", { class: other ? "side other" : "side" }, el("span", { class: "label" }, names.join(", ")),
      asked === null ? null : textBox(asked, "div", "text asked"), answer);
  }

  function sides(item) {
    if (item.asked.length > 1) return item.answers.map((place, run) => side(item, [runs[run]], item.asked[run], place));
    const places = [...new Set(item.answers)];
    return places.map((place) => side(item, runs.filter((_, run) => item.answers[run] === place), null, place));
  }

  function nodes(item) {
    return [
      item.asked.length === 1 ? textBox(item.asked[0], "div", "text question") : null,
      item.reference === null ? null : el("div", { class: "reference" }, "reference: ", textBox(item.reference, "span")),
      el("div", { class: "sides" }, ...sides(item)),
    ];
  }

  function row(item, place) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(item.id));
    return [el("article", { class: "row", "data-place": String(place) }, el("div", {}, open), ...nodes(item))];
  }

  function scores(item) {
    const names = Object.keys(item.scores);
    if (!names.length) return null;
    const line = (name) => el("tr", {}, el("th", { scope: "row" }, name), ...item.scores[name].map((value) => el("td", { class: "number" }, number(value, 1))));
    return scrolled("Scores of the answers", "wide", el("table", {},
      el("thead", {}, el("tr", {}, el("td"), ...runs.map((run) => el("th", { scope: "col", class: "number" }, run)))),
      el("tbody", {}, ...names.map(line))));
  }

  function content(item) {
    const clip = clipOf(item), source = el("p", { class: "muted" }, "source ", textBox(clip.source, "bdi"));
    return { title: item.id, nodes: [source, microg.frames.allFrames(clip, pictures), ...nodes(item), scores(item)] };
  }

  function drawCharts() {
    for (const [place, task] of tasks.entries()) {
      byId(`charts-${place}`).append(...task.metrics.map(({ name, rows }) => el("figure", {},
        el("figcaption", {}, name),
        scrolled(`Chart of ${name}`, "", microg.charts.forest({ rows, label: "score less the mean, ×100", described: `${name}: ${rows.length - 1} scores around their mean` })))));
    }
  }

  fillTools();
  drawCharts();
  microg.browse({ items, clipOf, choose: (given) => items.filter(predicate(given, TESTS)), build: row, content });
  document.documentElement.dataset.ready = "yes";
}
