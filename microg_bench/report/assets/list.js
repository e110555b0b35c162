"use strict";
// The list of items: it grows as it is scrolled, so that thousands of them open at once.

const CHUNK = 24;

class List {
  constructor(data) {
    this.data = data;
    this.items = [];
    this.built = 0;
    this.current = 0;
    this.rows = byId("list");
    this.tops = data.tasks.map((task, place) => task.metrics.map((_, k) => this.top(place, k)));
    this.end = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) this.grow(); }, { rootMargin: "1200px" });
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
    byId("end").textContent = this.items.length ? "" : "No item is like that.";
    this.grow();
    if (this.items.length) this.button(0).tabIndex = 0;
  }

  grow(upTo = this.built + CHUNK) {
    const fragment = document.createDocumentFragment();
    for (; this.built < Math.min(upTo, this.items.length); this.built++) {
      const item = this.items[this.built], before = this.items[this.built - 1];
      if (!before || before.clip !== item.clip) fragment.append(clipHead(this.data.clips[item.clip], this.data));
      fragment.append(itemRow(item, this.built, this.data, this.tops));
    }
    this.rows.append(fragment);
    // Observed anew, the end of the list tells at once whether it is still in sight.
    this.end.disconnect();
    if (this.built < this.items.length) this.end.observe(byId("end"));
  }

  button(place) {
    return this.rows.querySelector(`[data-place="${place}"] .open`);
  }

  // Only the current row is a stop of the Tab key.
  select(place) {
    if (place < 0 || place >= this.items.length) return;
    if (place >= this.built) this.grow(place + CHUNK);
    this.button(this.current).tabIndex = -1;
    this.current = place;
    const button = this.button(place);
    button.tabIndex = 0;
    if (!byId("opened").open) button.focus({ preventScroll: true });
    button.closest(".item").scrollIntoView({ block: "nearest" });
  }

  // The first step selects the current row; later ones go on from there.
  move(step) {
    const opened = byId("opened").open;
    this.select(opened || this.rows.contains(document.activeElement) ? this.current + step : this.current);
    if (opened) this.open();
  }

  // The address of the page then names the item, so that a link to it can be passed on.
  open() {
    const item = this.items[this.current], dialog = byId("opened");
    fillOpened(item, this.data);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    history.replaceState(null, "", `#${new URLSearchParams({ item: item.id })}`);
  }

  closed() {
    history.replaceState(null, "", location.href.split("#")[0]);
    this.select(this.current);
  }

  // Opens what the address names. An item far down is searched for by its clip: the list before it is not built.
  openLinked() {
    const id = new URLSearchParams(location.hash.slice(1)).get("item");
    const item = this.data.items.find((one) => one.id === id);
    if (!item) return;
    if (!this.items.slice(0, this.built).includes(item)) {
      byId("tools").reset();
      byId("search").value = this.data.clips[item.clip].id;
      this.refill();
    }
    this.select(this.items.indexOf(item));
    this.open();
  }
}
