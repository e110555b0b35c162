"use strict";
// The page of probes: charts of differences, and the answers to each request under all conditions, side by side.
{
  const { byId, readData, el, textNodes, textBox, scrolled } = microg.dom;
  const { setOptions, predicate, withWords } = microg.filters;

  const data = readData();
  const { conditions } = data;
  const PLAIN = 0; // the place of the frames as they are, which come first
  const clipOf = (item) => data.clips[item.clip];
  const compared = conditions.map((_, place) => place).filter((place) => conditions[place].base !== null);

  // Whether a condition gave another answer than what it is compared with; null where one of them gave none.
  function changed(item, place) {
    const own = item.answers[place], base = item.answers[conditions[place].base];
    return own === null || base === null ? null : own !== base;
  }

  function nameOf(item) {
    return item.question === null ? "Caption" : `Question ${item.id.slice(item.id.lastIndexOf("#") + 1)}`;
  }

  // Filters.

  const chosen = () => {
    const label = byId("condition").value;
    return label ? [conditions.findIndex((one) => one.label === label)] : compared;
  };

  function textOf(item) {
    return [item.id, clipOf(item).source, item.question || "", item.reference || "", ...item.texts].join("\n");
  }

  const TESTS = {
    task: (place) => (item) => String(item.task) === place,
    outcome: (kind) => (item) => kind === "changed"
      ? chosen().some((place) => changed(item, place))
      : chosen().every((place) => changed(item, place) === false),
    source: (name) => (item) => clipOf(item).source === name,
    search: (text) => withWords(text, textOf),
  };

  function fillTools() {
    setOptions(byId("task"), [...(data.tasks.length > 1 ? [["", "all"]] : []), ...data.tasks.map((task, k) => [String(k), task.title])]);
    setOptions(byId("condition"), [["", `all ${compared.length}`], ...compared.map((place) => [conditions[place].label, conditions[place].label])]);
    const sources = [...new Set(data.clips.map((clip) => clip.source))].sort();
    setOptions(byId("source"), [["", `all ${sources.length}`], ...sources.map((source) => [source, source])]);
  }

  // What is shown side by side: the chosen conditions, and what they are compared with before them.
  function columns() {
    const places = chosen();
    return [...new Set([PLAIN, ...places.map((place) => conditions[place].base), ...places])].sort((a, b) => a - b)
      .filter((place) => place !== PLAIN || places.some((one) => conditions[one].base === PLAIN));
  }

  function side(place, className, ...content) {
    return el("div", { class: `side ${className}`, "data-condition": conditions[place].label }, el("span", { class: "label" }, conditions[place].label), ...content);
  }

  function answer(item, place) {
    const own = item.answers[place], { base } = conditions[place];
    if (own === null) return side(place, "", el("div", { class: "missing" }, "no answer"));
    const text = item.texts[own];
    if (!text.trim()) return side(place, "", el("div", { class: "missing" }, "empty answer"));
    if (base === null || !changed(item, place)) return side(place, "", textBox(text));
    return side(place, "changed", el("div", { class: "text", dir: "auto" }, microg.differences(item.texts[item.answers[base]], text)[1]));
  }

  function frames(clip, place, all = false) {
    const shown = clip.shown[place];
    if (!shown) return el("p", { class: "note" }, "no frames");
    return (all ? microg.frames.allFrames : microg.frames.strip)(shown, data.pictures);
  }

  // In the list, answers that did not change are named only.
  function answers(item) {
    const places = columns();
    const apart = places.filter((place) => conditions[place].base === null || changed(item, place) !== false);
    const same = places.filter((place) => !apart.includes(place)).map((place) => conditions[place].label);
    return [
      item.reference === null ? null : el("div", { class: "side" }, el("span", { class: "label" }, "reference"), textBox(item.reference)),
      el("div", { class: "sides" }, ...apart.map((place) => answer(item, place))),
      same.length ? el("p", { class: "note same" }, `unchanged: ${same.join(", ")}`) : null,
    ];
  }

  function clipHead(clip) {
    const places = columns().filter((place) => clip.shown[place]?.folder);
    return el("header", { class: "clip" },
      el("h3", {}, textBox(clip.id, "bdi"), " ", el("small", {}, "source ", textBox(clip.source, "bdi"))),
      places.length ? el("div", { class: "sides" }, ...places.map((place) => side(place, "", frames(clip, place)))) : null);
  }

  function build(item, place, previous) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(nameOf(item)));
    const row = el("article", { class: "item", "data-place": String(place) }, open,
      item.question === null ? null : textBox(item.question, "div", "text question"), ...answers(item));
    return !previous || previous.clip !== item.clip ? [clipHead(clipOf(item)), row] : [row];
  }

  function content(item) {
    const clip = clipOf(item);
    const nodes = [
      el("p", { class: "muted" }, "source ", textBox(clip.source, "bdi")),
      item.question === null ? null : textBox(item.question, "div", "text question"),
      item.reference === null ? null : el("div", { class: "side" }, el("span", { class: "label" }, "reference"), textBox(item.reference)),
      el("div", { class: "sides" }, ...columns().map((place) => {
        const node = answer(item, place);
        node.firstChild.after(frames(clip, place, true));
        return node;
      })),
    ];
    return { title: `${clip.id} · ${nameOf(item)}`, nodes };
  }

  function drawCharts() {
    for (const [place, task] of data.tasks.entries()) {
      const figures = task.metrics.filter(({ rows }) => rows.length).map(({ name, rows }) => el("figure", {},
        el("figcaption", {}, name),
        scrolled(`Chart of ${name}`, "", microg.charts.forest({ rows, label: "changed less unchanged, ×100", described: `${name}: differences of ${rows.length} conditions` }))));
      byId(`charts-${place}`).append(...figures);
    }
  }

  fillTools();
  drawCharts();
  microg.browse({ items: data.items, clipOf, choose: (given) => data.items.filter(predicate(given, TESTS)), build, content });
  document.documentElement.dataset.ready = "yes";
}
