"use strict";
// A list of rows that grows as it is scrolled, so that thousands of items open at once. One row is current.
//
// new List(box, end, build): `box` takes the rows; `end`, an element below it, makes the list grow when it comes into
// sight; build(item, place, previous) -> the nodes of an item, one of which has data-place=place and holds a button
// of class "open" with tabindex -1.
// .fill(items) shows items from the first; .grow(upTo) builds rows; .item -> the current item; .has(item) -> whether
// its row is built; .select(place, focus) makes a row the current one, and .move(step, focus) the one after or before.
{
  const CHUNK = 24;

  class List {
    constructor(box, end, build) {
      Object.assign(this, { box, end, build, items: [], built: 0, current: 0 });
      this.observer = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) this.grow(); }, { rootMargin: "1200px" });
    }

    get item() {
      return this.items[this.current];
    }

    has(item) {
      return this.items.slice(0, this.built).includes(item);
    }

    fill(items) {
      this.items = items;
      this.built = this.current = 0;
      this.box.replaceChildren();
      this.grow();
      if (items.length) this.button(0).tabIndex = 0;
    }

    grow(upTo = this.built + CHUNK) {
      const fragment = document.createDocumentFragment();
      for (; this.built < Math.min(upTo, this.items.length); this.built++) {
        fragment.append(...this.build(this.items[this.built], this.built, this.items[this.built - 1]));
      }
      this.box.append(fragment);
      // Observed anew, the end of the list tells at once whether it is still in sight.
      this.observer.disconnect();
      if (this.built < this.items.length) this.observer.observe(this.end);
    }

    button(place) {
      return this.box.querySelector(`[data-place="${place}"] .open`);
    }

    // Only the current row is a stop of the Tab key.
    select(place, focus = true) {
      if (place < 0 || place >= this.items.length) return;
      if (place >= this.built) this.grow(place + CHUNK);
      this.button(this.current).tabIndex = -1;
      this.current = place;
      const button = this.button(place);
      button.tabIndex = 0;
      if (focus) button.focus({ preventScroll: true });
      button.closest("[data-place]").scrollIntoView({ block: "nearest" });
    }

    // The first step into the list selects the current row; later ones go on from there.
    move(step, focus = true) {
      const inside = !focus || this.box.contains(document.activeElement);
      this.select(inside ? this.current + step : this.current, focus);
    }
  }

  microg.List = List;
}
