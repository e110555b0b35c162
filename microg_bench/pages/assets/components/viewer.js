"use strict";
// A dialog that shows the current item of a list in full and steps along the list. The address names the item.
//
// new Viewer(list, content): content(item) -> {title, nodes}; items have an `id`.
// .open() shows the current item; .move(step) steps in the list, and in the dialog where it is open; .shown -> whether
// it is open; .linked -> the id that the address names, null where it names none; .openLinked(items, find) opens that
// one of `items`; find(item) fills the list so that it has the item, where its row is not built.
{
  const { el, textNodes, readAddress, writeAddress } = microg.dom;

  class Viewer {
    constructor(list, content) {
      Object.assign(this, { list, content });
      const button = (id, name, sign, action) => {
        const made = el("button", { type: "button", id, "aria-label": name }, sign);
        made.addEventListener("click", action);
        return made;
      };
      this.title = el("h2", { id: "opened-title", tabindex: "-1", autofocus: "" });
      this.body = el("div", { id: "opened-body" });
      this.dialog = el("dialog", { id: "opened", "aria-labelledby": "opened-title" },
        el("div", { class: "head" }, this.title, el("span", { class: "buttons" },
          button("previous", "Previous item", "←", () => this.move(-1)),
          button("next", "Next item", "→", () => this.move(1)),
          button("close", "Close", "✕", () => this.dialog.close()))),
        this.body);
      this.dialog.addEventListener("click", (event) => { if (event.target === this.dialog) this.dialog.close(); });
      this.dialog.addEventListener("close", () => this.closed());
      document.body.append(this.dialog);
    }

    get shown() {
      return this.dialog.open;
    }

    get linked() {
      return readAddress().get("item");
    }

    openLinked(items, find) {
      const item = items.find((one) => one.id === this.linked);
      if (!item) return;
      if (!this.list.has(item)) find(item);
      this.list.select(this.list.items.indexOf(item), !this.shown);
      this.open();
    }

    open() {
      const { title, nodes } = this.content(this.list.item);
      this.title.replaceChildren(textNodes(title));
      this.body.replaceChildren(...nodes.filter((node) => node !== null));
      if (!this.shown) this.dialog.showModal();
      this.dialog.scrollTop = 0;
      writeAddress({ item: this.list.item.id });
    }

    move(step) {
      this.list.move(step, !this.shown);
      if (this.shown) this.open();
    }

    closed() {
      writeAddress({});
      this.list.select(this.list.current);
    }
  }

  microg.Viewer = Viewer;
}
