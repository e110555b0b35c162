"use strict";
// The page of a run: the list grows as it is scrolled, so that thousands of items open at once.

const CHUNK = 24;

class List {
  constructor(data) {
    this.data = data;
    this.items = [];
    this.built = 0;
    this.current = 0;
    this.rows = byId("list");
    this.tops = data.tasks.map((task, place) => task.metrics.map((_, k) => this.top(place, k)));
    new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) this.grow(); }, { rootMargin: "1200px" }).observe(byId("end"));
  }

  // The length of a full bar: 100, or the largest score where one is larger.
  top(place, k) {
    return this.data.items.reduce((most, item) => item.task === place && item.scores[k] > most ? item.scores[k] : most, 100);
  }

  refill() {
    this.items = chosen(this.data);
    this.built = this.current = 0;
    this.rows.replaceChildren();
    byId("count").textContent = `${this.items.length.toLocaleString("en")} of ${this.data.items.length.toLocaleString("en")} items`;
    this.grow();
  }

  grow(upTo = this.built + CHUNK) {
    const fragment = document.createDocumentFragment();
    for (; this.built < Math.min(upTo, this.items.length); this.built++) {
      const item = this.items[this.built], before = this.items[this.built - 1];
      if (!before || before.clip !== item.clip) fragment.append(clipHead(this.data.clips[item.clip], this.data));
      fragment.append(itemRow(item, this.built, this.data, this.tops));
    }
    this.rows.append(fragment);
    if (this.items.length && !this.rows.querySelector("[tabindex='0']")) this.row(0).tabIndex = 0;
    byId("end").textContent = this.items.length ? "" : "No item is like that.";
  }

  row(place) {
    return this.rows.querySelector(`[data-place="${place}"]`);
  }

  select(place, focus = true) {
    if (place < 0 || place >= this.items.length) return;
    if (place >= this.built) this.grow(place + CHUNK);
    this.row(this.current).tabIndex = -1;
    this.current = place;
    const row = this.row(place);
    row.tabIndex = 0;
    if (focus) row.focus({ preventScroll: true });
    row.scrollIntoView({ block: "nearest" });
  }

  // The first step selects the first row; later ones go on from there.
  move(step) {
    const opened = byId("opened").open;
    const begun = opened || this.rows.contains(document.activeElement);
    this.select(begun ? this.current + step : this.current, !opened);
    if (opened) this.open();
  }

  open() {
    const item = this.items[this.current];
    if (!item) return;
    fillOpened(item, this.data);
    if (!byId("opened").open) byId("opened").showModal();
    byId("opened").scrollTop = 0;
  }
}

// How the items score under each metric, as bars of equal width from the lowest to the highest.
function histogram(values, bins = 24) {
  const low = Math.min(0, values.reduce((a, b) => Math.min(a, b), 0)), high = values.reduce((a, b) => Math.max(a, b), 100);
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[Math.min(bins - 1, Math.floor((bins * (value - low)) / (high - low)))]++;
  const most = Math.max(...counts);
  const bars = counts.map((count, k) => svg("rect", { class: "bin", x: k * 5, width: 4.4, y: 36 - (36 * count) / most, height: (36 * count) / most }, svg("title", {}, `${count} items`)));
  const drawn = svg("svg", { viewBox: "0 0 120 36", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram of ${values.length} items from ${low.toFixed(0)} to ${high.toFixed(0)}` }, ...bars);
  return [drawn, el("span", { class: "span" }, el("span", {}, low.toFixed(0)), el("span", {}, "items"), el("span", {}, high.toFixed(0)))];
}

function drawHistograms(data) {
  data.tasks.forEach((task, place) => task.metrics.forEach((metric, k) => {
    const values = data.items.filter((item) => item.task === place && item.scores[k] !== null).map((item) => item.scores[k]);
    const tile = [...byId(`tiles-${place}`).children].find((one) => one.dataset.metric === metric);
    if (values.length) tile.append(...histogram(values));
  }));
}

function start() {
  const data = readData();
  fillFilters(data);
  const list = new List(data);
  list.refill();
  drawHistograms(data);
  let waiting = 0;
  byId("tools").addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(() => list.refill(), 120); });
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("list").addEventListener("click", (event) => {
    const row = event.target.closest(".item");
    if (!row || String(getSelection())) return;
    list.select(Number(row.dataset.place));
    list.open();
  });
  byId("previous").addEventListener("click", () => list.move(-1));
  byId("next").addEventListener("click", () => list.move(1));
  byId("close").addEventListener("click", () => byId("opened").close());
  byId("opened").addEventListener("close", () => list.select(list.current));
  window.addEventListener("beforeprint", () => list.grow(list.items.length));
  listenToKeys(list);
  document.documentElement.dataset.ready = "yes";
}

start();
