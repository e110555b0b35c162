"use strict";
// Filters: a form whose controls choose among records. A control is known by its id.
//
// setOptions(select, [[value, label], ...]) fills a select.
// values(form) -> the value of each control; a checkbox gives true or false.
// listen(form, changed, pause) calls `changed` once the form has been left alone for `pause` milliseconds.
// predicate(values, tests) -> whether a record passes all filters that are set; tests[id](value) -> (record) -> bool.
// withWords(text, textOf) -> whether a record's text has all words of `text`, in any order, case and accents aside.
{
  const { el } = microg.dom;

  function setOptions(select, options) {
    select.replaceChildren(...options.map(([value, label]) => el("option", { value }, label)));
  }

  function values(form) {
    const controls = [...form.elements].filter((control) => control.id);
    return Object.fromEntries(controls.map((one) => [one.id, one.type === "checkbox" ? one.checked : one.value]));
  }

  function listen(form, changed, pause = 0) {
    let waiting = 0;
    form.addEventListener("input", () => {
      clearTimeout(waiting);
      if (pause) waiting = setTimeout(changed, pause);
      else changed();
    });
    form.addEventListener("submit", (event) => event.preventDefault());
  }

  function predicate(given, tests) {
    const chosen = Object.entries(tests).filter(([id]) => given[id]).map(([id, test]) => test(given[id]));
    return (record) => chosen.every((passes) => passes(record));
  }

  // Lower case without accents, so that a search finds what a reader would call the same.
  function folded(text) {
    return text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
  }

  const known = new WeakMap(); // the folded text of a record, made when it is first searched

  function withWords(text, textOf) {
    const words = folded(text).split(/\s+/).filter(Boolean);
    return (record) => {
      if (!known.has(record)) known.set(record, folded(textOf(record)));
      return words.every((word) => known.get(record).includes(word));
    };
  }

  microg.filters = { setOptions, values, listen, predicate, withWords };
}
