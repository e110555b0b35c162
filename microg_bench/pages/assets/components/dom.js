"use strict";
// Elements made of text nodes only: nothing that was read from elsewhere is ever parsed as markup.
//
// byId(id) -> element; readData() -> the content of the page's data block.
// el(name, attributes, ...children), svg(...) -> element; children that are null are left out.
// textNodes(text) -> fragment; textBox(text, name, className) -> element with a direction of its own.
// number(value, digits) -> "12.34", or "n/a"; interval(bounds) -> words, or "" for null.
// scrolled(label, className, ...children) -> what may be wider than the page, which keys can scroll too.
// tip(element, ...lines) -> the element, with the lines that are not empty as its tooltip.
// readAddress() -> the parameters after # in the address; writeAddress(values) replaces them.

const microg = {}; // the one name that scripts share
{
  const byId = (id) => document.getElementById(id);

  const readData = () => JSON.parse(byId("data").textContent);

  function filled(element, attributes, children) {
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children.filter((child) => child !== null));
    return element;
  }

  function el(name, attributes = {}, ...children) {
    return filled(document.createElement(name), attributes, children);
  }

  function svg(name, attributes = {}, ...children) {
    return filled(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
  }

  // Characters that would hide, or turn the text around them: shown by their number instead. As in shell.py.
  const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

  function textNodes(text) {
    const fragment = document.createDocumentFragment();
    let start = 0;
    for (const found of text.matchAll(UNSEEN)) {
      if (found.index > start) fragment.append(text.slice(start, found.index));
      const code = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
      fragment.append(el("span", { class: "control" }, `U+${code}`));
      start = found.index + found[0].length;
    }
    fragment.append(text.slice(start));
    return fragment;
  }

  function textBox(text, name = "div", className = "text") {
    return el(name, { class: className, dir: "auto" }, textNodes(text));
  }

  function number(value, digits = 2) {
    return value === null || value === undefined ? "n/a" : value.toFixed(digits);
  }

  function interval(bounds) {
    return bounds ? `95% interval ${number(bounds[0])} to ${number(bounds[1])}` : "";
  }

  function scrolled(label, className, ...children) {
    return el("div", { class: className, tabindex: "0", role: "group", "aria-label": label }, ...children);
  }

  function tip(element, ...lines) {
    element.title = lines.filter(Boolean).join("\n");
    return element;
  }

  const readAddress = () => new URLSearchParams(location.hash.slice(1));

  function writeAddress(values) {
    const told = String(new URLSearchParams(Object.entries(values).filter(([, value]) => value)));
    history.replaceState(null, "", told ? `#${told}` : location.href.split("#")[0]);
  }

  microg.dom = { byId, readData, el, svg, textNodes, textBox, number, interval, scrolled, tip, readAddress, writeAddress };
}
