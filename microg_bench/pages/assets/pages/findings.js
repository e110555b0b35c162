"use strict";
// The page of what a check of texts has found: a list of findings, and a dialog with the texts of the clip.
{
  const { byId, readData, el, textNodes, textBox } = microg.dom;
  const { setOptions, values, listen, predicate, withWords } = microg.filters;

  const { findings, clips } = readData();
  const kinds = [...new Set(findings.map((one) => one.kind))].sort();

  function row(one, place) {
    const open = el("button", { type: "button", class: "open", tabindex: "-1", "aria-haspopup": "dialog" }, textNodes(one.item));
    return [el("article", { class: "row", "data-place": String(place) },
      el("div", {}, open, el("div", {}, el("span", { class: "badge bad" }, textNodes(one.kind)))),
      textBox(one.reason))];
  }

  function texts(one) {
    const { caption, pairs } = clips[one.clip];
    return el("dl", {}, el("dt", {}, "caption"), caption === null ? el("dd", { class: "muted" }, "none") : textBox(caption, "dd"),
      ...pairs.flatMap(([question, answer], place) => {
        const meant = one.pair === place + 1 ? "meant" : "";
        return [el("dt", { class: meant }, String(place + 1)), el("dd", { class: meant }, textBox(question), textBox(answer, "div", "text muted"))];
      }));
  }

  const list = new microg.List(byId("list"), byId("end"), row);
  const viewer = new microg.Viewer(list, (one) => ({
    title: `${one.item}: ${one.kind}`,
    nodes: [textBox(one.reason, "p"), Object.hasOwn(clips, one.clip) ? texts(one) : null],
  }));

  const TESTS = {
    kind: (wanted) => (one) => one.kind === wanted,
    search: (text) => withWords(text, (one) => `${one.item} ${one.reason}`),
  };

  function refill() {
    list.fill(findings.filter(predicate(values(byId("tools")), TESTS)));
    byId("count").textContent = `${list.items.length} of ${findings.length} findings`;
  }

  setOptions(byId("kind"), [["", "all"], ...kinds.map((kind) => [kind, kind])]);
  byId("list").addEventListener("click", (event) => {
    const clicked = event.target.closest(".row");
    if (!clicked) return;
    list.select(Number(clicked.dataset.place));
    viewer.open();
  });
  microg.listenToKeys(list, viewer, { "/": () => byId("search").focus() });
  listen(byId("tools"), refill, 120);
  refill();
  document.documentElement.dataset.ready = "yes";
}
