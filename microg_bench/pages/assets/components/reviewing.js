"use strict";
// A page on which people decide on items: a list, a dialog, what was said kept in the browser, a CSV file of it.
//
// new Reviewing(options) takes over the elements annotator, tools, state, search, export, count, problem, list and end.
//   items: [{id, fingerprint}]; noun: what they are called, in the plural; worked: what they may have
//   without a decision; columns: those of the file.
//   decisions: {decision: the word for it}, each said as {decision, reason, ...}; blank(item) -> what holds before.
//   row(item, place) -> its row; opened(item) -> the nodes of the dialog; redraw(item) after a change, where it is open.
//   text(item) -> what is searched; rows(item, now, annotator) -> objects by column; lacks(item) -> why it cannot be
//   exported yet, or ""; pressed(key, item) -> whether a key of the opened item was taken.
// .known(item) -> what is said of it; .state(item) -> its decision, or "open"; .change(item, changes);
// .badge(item) -> its decision in words; .problem(text); .open(item); .start(), once the page has all that it needs.
// Reviewing.choice(name, pressed, action) -> a button; Reviewing.plain(text) -> a text that no spreadsheet computes.
// What was said is kept for each item as it was shown, and each annotator. What was said before a name was given becomes
// that of the name.
{
  const { byId, el, textNodes } = microg.dom;
  const { setOptions, values, listen, predicate, withWords } = microg.filters;
  const NAME = "microg-bench-review-name";

  const keyOf = (item, name) => `microg-bench-review:${item.fingerprint}:${name}`;
  const stored = (item, name) => JSON.parse(localStorage.getItem(keyOf(item, name)));
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  class Reviewing {
    constructor(options) {
      Object.assign(this, options, { said: {}, unnamed: [] });
      this.list = new microg.List(byId("list"), byId("end"), this.row);
      this.viewer = new microg.Viewer(this.list, (item) => ({ title: item.id, nodes: this.opened(item) }));
      this.tests = {
        state: (wanted) => (item) => this.state(item) === wanted,
        search: (text) => withWords(text, this.text),
      };
    }

    static choice(name, pressed, action) {
      const made = el("button", { type: "button", "aria-pressed": String(pressed) }, textNodes(name));
      made.addEventListener("click", action);
      return made;
    }

    // A field that a spreadsheet would take for a formula is none.
    static plain(text) {
      return String(text ?? "").trim().replace(/^[=+\-@\t]+/, "");
    }

    get annotator() {
      return Reviewing.plain(byId("annotator").value);
    }

    // It stands where it is seen: in the dialog, if that is open.
    problem(text) {
      const box = byId("problem");
      (this.viewer.shown ? this.viewer.dialog.querySelector(".head") : byId("tools")).after(box);
      box.hidden = !text;
      box.replaceChildren(textNodes(text));
    }

    // What was said.

    load() {
      try {
        const name = this.annotator;
        this.unnamed = name ? this.items.filter((item) => stored(item, "")) : [];
        this.said = Object.fromEntries(this.items.map((item) => [item.id, stored(item, name) || stored(item, "")]).filter(([, own]) => own));
        localStorage.setItem(NAME, byId("annotator").value);
      } catch (error) {
        this.said = {};
        this.problem(`This browser keeps nothing for this page (${error.name}): export before you close it.`);
      }
    }

    keep(...changed) {
      try {
        const name = this.annotator;
        for (const item of [...changed, ...this.unnamed]) localStorage.setItem(keyOf(item, name), JSON.stringify(this.said[item.id]));
        for (const item of this.unnamed.splice(0)) localStorage.removeItem(keyOf(item, ""));
      } catch (error) {
        this.problem(`This browser cannot keep more (${error.name}): export what you have now.`);
      }
    }

    known(item) {
      return this.said[item.id] || { decision: "", reason: "", ...this.blank(item) };
    }

    state(item) {
      return this.known(item).decision || "open";
    }

    change(item, changes) {
      this.said[item.id] = { ...this.known(item), ...changes };
      this.keep(item);
      this.refresh(item);
    }

    // The list.

    badge(item) {
      const { decision, reason } = this.known(item);
      const words = decision === "reject" ? `rejected: ${reason || "no reason yet"}` : this.decisions[decision] || "open";
      return el("span", { class: `badge state ${decision}` }, textNodes(words));
    }

    count() {
      const done = this.items.filter((item) => this.state(item) !== "open").length;
      byId("count").textContent = `${this.list.items.length} shown, ${done} of ${this.items.length} decided`;
    }

    refill() {
      const { state, search } = values(byId("tools"));
      const found = this.items.filter(predicate({ state, search }, this.tests));
      // Rows that stay are not built again: one that is being clicked would lose the click.
      if (found.length === this.list.items.length && found.every((item, place) => item === this.list.items[place])) found.forEach((item) => this.refresh(item));
      else this.list.fill(found);
      this.count();
    }

    refresh(item) {
      const place = this.list.items.indexOf(item);
      const old = this.list.box.querySelector(`[data-place="${place}"] .state`);
      if (old) old.replaceWith(this.badge(item));
      this.count();
      if (this.viewer.shown && this.list.item === item) this.redraw(item);
    }

    open(item) {
      if (!this.list.items.includes(item)) {
        byId("tools").elements.state.value = "";
        byId("search").value = "";
        this.refill();
      }
      this.list.select(this.list.items.indexOf(item), !this.viewer.shown);
      this.viewer.open();
    }

    nextOpen() {
      const start = this.list.items.indexOf(this.list.item);
      const order = [...this.list.items.slice(start + 1), ...this.list.items.slice(0, start)];
      const next = order.find((item) => this.state(item) === "open");
      if (next) this.open(next);
    }

    // Export.

    exported() {
      const decided = this.items.filter((item) => this.state(item) !== "open");
      const own = (item) => ({ annotator: this.annotator, decision: this.known(item).decision, fingerprint: item.fingerprint });
      const lines = decided.flatMap((item) => this.rows(item, this.known(item)).map((row) => ({ ...own(item), ...row })));
      return [this.columns.join(","), ...lines.map((row) => this.columns.map((name) => quoted(row[name] ?? "")).join(","))].join("\n") + "\n";
    }

    save() {
      const name = this.annotator;
      if (!name) { byId("annotator").focus(); return this.problem("Give your name first: it goes with each row."); }
      const lacking = this.items.find((item) => this.state(item) !== "open" && this.lacks(item));
      if (lacking) { this.open(lacking); return this.problem(`${lacking.id} ${this.lacks(lacking)}.`); }
      this.keep();
      const undecided = this.items.filter((item) => this.said[item.id] && this.state(item) === "open");
      this.problem(undecided.length ? `${undecided.length} ${this.noun} ${this.worked} but no decision, and are left out; the first is ${undecided[0].id}.` : "");
      const link = el("a", { href: URL.createObjectURL(new Blob([this.exported()], { type: "text/csv" })), download: `review-${name.replace(/[^\w-]+/g, "-")}.csv` });
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
    }

    // Keys and start.

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const inField = /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName);
      if (inField) {
        if (event.key === "Escape") { event.target.blur(); this.viewer.title.focus(); event.preventDefault(); }
        return;
      }
      const up = this.viewer.shown ? 0 : 1;
      const step = { j: 1, ArrowDown: up, ArrowRight: 1, k: -1, ArrowUp: -up, ArrowLeft: -1 }[event.key];
      if (step) this.viewer.move(step);
      else if (this.viewer.shown && this.pressed(event.key, this.list.item)) { /* the page has taken it */ }
      else if (event.key === "n") this.nextOpen();
      else if (event.key === "/" && !this.viewer.shown) byId("search").focus();
      else return;
      event.preventDefault();
    }

    start() {
      setOptions(byId("state"), [["", "all"], ["open", "open"], ...Object.entries(this.decisions)]);
      try { byId("annotator").value = localStorage.getItem(NAME) || ""; } catch { /* load() says that nothing is kept */ }
      this.load();
      byId("annotator").addEventListener("input", () => this.load()); // the list follows a moment later, and stays while it is clicked
      byId("export").addEventListener("click", () => this.save());
      byId("list").addEventListener("click", (event) => {
        const clicked = event.target.closest(".row");
        if (!clicked) return;
        this.list.select(Number(clicked.dataset.place));
        this.viewer.open();
      });
      document.addEventListener("keydown", (event) => this.key(event));
      addEventListener("storage", (event) => { // another tab works on the same items
        if (!this.items.some((item) => event.key === keyOf(item, this.annotator))) return;
        this.load();
        if (this.viewer.shown) this.redraw(this.list.item);
        else this.refill();
      });
      listen(byId("tools"), () => this.refill(), 120);
      this.refill();
      const linked = this.items.find((item) => item.id === this.viewer.linked);
      if (linked) this.open(linked);
      document.documentElement.dataset.ready = "yes";
    }
  }

  microg.Reviewing = Reviewing;
}
