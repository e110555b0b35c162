"use strict";
// Tables: sorted by their headings, and of pairwise differences.
//
// sorted(records, key, descending) -> a new array; key(record) is a number or a text, records with null come last.
// head(columns, sort) -> <thead>; columns are [{name, number, heading, about}], sort is {name, descending}. The button of a
// heading bears the column's name as data-sort, shows `heading` in its place, and explains itself by `about` (see help.js).
// finder(pairs) -> (a, b) => a minus b for two keys, as {value, bounds, p, …}; undefined where they were not compared.
// matrix(rows, pairs) -> <table> of row minus column; rows are [{key, name}], pairs [{first, second, value, bounds, p}]
// with the keys of two rows; bounds and p may be null. Differences with p < 0.05 are bold.
{
  const { el, textNodes, number, signed, interval } = microg.dom;

  function sorted(records, key, descending) {
    const sign = descending ? -1 : 1;
    const keyed = records.map((record) => [key(record), record]);
    keyed.sort(([x], [y]) => {
      if (x === null || y === null) return (x === null) - (y === null);
      if (typeof x !== typeof y) return typeof x === "string" ? 1 : -1;
      return x === y ? 0 : sign * (x < y ? -1 : 1);
    });
    return keyed.map(([, record]) => record);
  }

  function head(columns, sort) {
    const cells = columns.map(({ name, number: right, heading = name, about }) => {
      const direction = sort.name === name ? (sort.descending ? "descending" : "ascending") : "none";
      const button = el("button", { type: "button", "data-sort": name }, heading);
      if (about) microg.help.explain(button, about);
      return el("th", { scope: "col", class: right ? "number" : "", "aria-sort": direction }, button);
    });
    return el("thead", {}, el("tr", {}, ...cells));
  }

  function cell({ value, bounds, p }) {
    const td = el("td", { class: p !== null && p < 0.05 ? "number significant" : "number" }, signed(value));
    return microg.help.explain(td, [interval(bounds), p === null ? "" : `p = ${number(p, 4)}`].filter(Boolean).join("\n"));
  }

  function turned({ value, bounds, ...rest }) {
    return { ...rest, value: -value, bounds: bounds && [-bounds[1], -bounds[0]] };
  }

  function finder(pairs) {
    const found = new Map(pairs.map((pair) => [JSON.stringify([pair.first, pair.second]), pair]));
    return (a, b) => {
      const back = found.get(JSON.stringify([b, a]));
      return found.get(JSON.stringify([a, b])) ?? (back && turned(back));
    };
  }

  function matrix(rows, pairs) {
    const find = finder(pairs);
    const between = (a, b) => {
      const pair = find(a.key, b.key);
      return pair ? cell(pair) : el("td");
    };
    const name = (row, scope) => el("th", { scope, dir: "auto" }, textNodes(row.name));
    const lines = rows.map((a) => el("tr", {}, name(a, "row"), ...rows.map((b) => between(a, b))));
    return el("table", { class: "matrix" },
      el("thead", {}, el("tr", {}, el("td"), ...rows.map((row) => name(row, "col")))),
      el("tbody", {}, ...lines));
  }

  microg.table = { sorted, head, finder, matrix };
}
