"use strict";
// Elements made of text nodes only: nothing that was read from elsewhere is ever parsed as markup.

const byId = (id) => document.getElementById(id);

function readData() {
  return JSON.parse(byId("data").textContent);
}

function el(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Characters that would hide, or turn the text around them: shown by their number instead. As in shell.py.
const UNSEEN = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff\ufff9-\ufffb\u{e0000}-\u{e007f}]/gu;

function textNodes(text) {
  const fragment = document.createDocumentFragment();
  let start = 0;
  for (const found of text.matchAll(UNSEEN)) {
    if (found.index > start) fragment.append(text.slice(start, found.index));
    const number = found[0].codePointAt(0).toString(16).toUpperCase().padStart(4, "0");
    fragment.append(el("span", { class: "control" }, `U+${number}`));
    start = found.index + found[0].length;
  }
  fragment.append(text.slice(start));
  return fragment;
}

function textBox(text, name = "div", className = "text") {
  return el(name, { class: className, dir: "auto" }, textNodes(text));
}

function setOptions(select, options) {
  select.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
}

function shown(value, digits = 2) {
  return value === null || value === undefined ? "n/a" : value.toFixed(digits);
}
