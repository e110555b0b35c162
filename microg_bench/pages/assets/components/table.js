"use strict";
// Tables: sorted by their headings, and of pairwise differences.
//
// sorted(records, key, descending) -> a new array; key(record) is a number or a text, records with null come last.
// head(columns, sort) -> <thead>; columns are [{name, number}], sort is {name, descending}. The button of a heading
// bears the column's name as data-sort.
// matrix(rows, pairs) -> <table> of row minus column; rows are [{key, name}], pairs [{first, second, value, bounds, p}]
// with the keys of two rows; bounds and p may be null. Differences with p < 0.05 are bold.
{
  const { el, textNodes, number, signed, interval, tip } = microg.dom;

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
    const cells = columns.map(({ name, number: right }) => {
      const direction = sort.name === name ? (sort.descending ? "descending" : "ascending") : "none";
      const button = el("button", { type: "button", "data-sort": name }, name);
      return el("th", { scope: "col", class: right ? "number" : "", "aria-sort": direction }, button);
    });
    return el("thead", {}, el("tr", {}, ...cells));
  }

  function cell(pair, flip) {
    const sign = flip ? -1 : 1, value = sign * pair.value;
    const bounds = pair.bounds && pair.bounds.map((bound) => sign * bound).sort((a, b) => a - b);
    const td = el("td", { class: pair.p !== null && pair.p < 0.05 ? "number significant" : "number" }, signed(value));
    return tip(td, interval(bounds), pair.p === null ? "" : `p = ${number(pair.p, 4)}`);
  }

  function matrix(rows, pairs) {
    const find = (a, b) => pairs.find((one) => one.first === a.key && one.second === b.key);
    const between = (a, b) => {
      const pair = find(a, b) || find(b, a);
      return pair ? cell(pair, pair.first !== a.key) : el("td");
    };
    const name = (row, scope) => el("th", { scope, dir: "auto" }, textNodes(row.name));
    const lines = rows.map((a) => el("tr", {}, name(a, "row"), ...rows.map((b) => between(a, b))));
    return el("table", { class: "matrix" },
      el("thead", {}, el("tr", {}, el("td"), ...rows.map((row) => name(row, "col")))),
      el("tbody", {}, ...lines));
  }

  microg.table = { sorted, head, matrix };
}
