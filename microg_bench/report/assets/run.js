"use strict";
// The page of a run comes alive.

function listenToTools(list) {
  let waiting = 0;
  byId("tools").addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => list.refill(), 120);
  });
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
}

function listenToRows(list) {
  byId("list").addEventListener("click", (event) => {
    const row = event.target.closest(".item");
    if (!row || (event.detail && String(getSelection()))) return; // whoever selects text does not open
    list.select(Number(row.dataset.place));
    list.open();
  });
  byId("previous").addEventListener("click", () => list.move(-1));
  byId("next").addEventListener("click", () => list.move(1));
  byId("close").addEventListener("click", () => byId("opened").close());
  byId("opened").addEventListener("click", (event) => { if (event.target === byId("opened")) byId("opened").close(); });
  byId("opened").addEventListener("close", () => list.closed());
  addEventListener("hashchange", () => list.openLinked());
}

// Paper cannot be scrolled or unfolded: all of it is printed, as it was filtered.
function listenToPrinter(list) {
  addEventListener("beforeprint", () => {
    list.grow(list.items.length);
    for (const one of document.querySelectorAll("details")) one.open = true;
  });
}

// A link to a part of the page that is folded up unfolds it.
function listenToLinks() {
  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[href^='#']");
    if (!link) return;
    for (const one of document.querySelectorAll(`${link.getAttribute("href")} > details`)) one.open = true;
  });
}

function start() {
  const data = readData();
  fillFilters(data);
  const list = new List(data);
  list.refill();
  drawHistograms(data);
  listenToTools(list);
  listenToRows(list);
  listenToKeys(list);
  listenToPrinter(list);
  listenToLinks();
  list.openLinked();
  document.documentElement.dataset.ready = "yes";
}

start();
