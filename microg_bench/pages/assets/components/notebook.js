"use strict";
// What people say of items: kept in the browser for each item, as it was shown, and each name; exported as CSV.
//
// new Notebook(kind, items, input, problem): `kind` names the page; items have an `id` and a `fingerprint` of what is
// shown of them; `input` is the field of the person's name; problem(text) is told what cannot be kept.
// .name; .said -> what was said, by id; .load() reads what is kept under the name; .say(item, words) keeps what was said
// of an item; .keep() keeps what was said before a name was given; .holds(key) -> whether a key of the storage is of
// this name and of one of the items.
// plain(text) -> the text without what makes a spreadsheet take it for a formula.
// save(columns, rows, file) has the browser save rows, which are objects by column, as a CSV file.
{
  const { el } = microg.dom;

  const plain = (text) => String(text ?? "").trim().replace(/^[=+\-@\t]+/, "");
  const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

  class Notebook {
    constructor(kind, items, input, problem) {
      Object.assign(this, { kind, items, input, problem, said: {}, unnamed: [] }); // unnamed: said before a name was given
      try { input.value = localStorage.getItem(`${kind}-name`) || ""; } catch { /* load() says that nothing is kept */ }
    }

    get name() {
      return plain(this.input.value);
    }

    keyOf(item, name) {
      return `${this.kind}:${item.fingerprint}:${name}`;
    }

    stored(item, name) {
      return JSON.parse(localStorage.getItem(this.keyOf(item, name)));
    }

    // What was said before a name was given becomes that of the name.
    load() {
      try {
        const { name } = this;
        this.unnamed = name ? this.items.filter((item) => this.stored(item, "")) : [];
        const found = this.items.map((item) => [item.id, this.stored(item, name) || this.stored(item, "")]);
        this.said = Object.fromEntries(found.filter(([, own]) => own));
        localStorage.setItem(`${this.kind}-name`, this.input.value);
      } catch (error) {
        this.said = {};
        this.problem(`This browser keeps nothing for this page (${error.name}): export before you close it.`);
      }
    }

    say(item, words) {
      this.said[item.id] = words;
      this.keep(item);
    }

    keep(...changed) {
      try {
        const { name } = this;
        for (const item of [...changed, ...this.unnamed]) localStorage.setItem(this.keyOf(item, name), JSON.stringify(this.said[item.id]));
        for (const item of this.unnamed.splice(0)) localStorage.removeItem(this.keyOf(item, ""));
      } catch (error) {
        this.problem(`This browser cannot keep more (${error.name}): export what you have now.`);
      }
    }

    holds(key) {
      return this.items.some((item) => key === this.keyOf(item, this.name));
    }
  }

  function save(columns, rows, file) {
    const lines = rows.map((one) => columns.map((name) => quoted(one[name] ?? "")).join(","));
    const text = [columns.join(","), ...lines].join("\n") + "\n";
    const link = el("a", { href: URL.createObjectURL(new Blob([text], { type: "text/csv" })), download: file });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  }

  Object.assign(microg, { Notebook, notebook: { plain, save } });
}
