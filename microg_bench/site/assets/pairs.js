"use strict";
// Pairwise differences of the rows of a board, as a matrix.

function difference(pair, flip) {
  const sign = flip ? -1 : 1, value = sign * pair.value;
  const cell = el("td", { class: pair.p !== null && pair.p < 0.05 ? "number sure" : "number" }, (value > 0 ? "+" : "") + shown(value));
  const bounds = pair.bounds && pair.bounds.map((bound) => sign * bound).sort((a, b) => a - b);
  cell.title = [bounds ? `95% interval ${shown(bounds[0])} to ${shown(bounds[1])}` : "", pair.p === null ? "" : `p = ${pair.p.toFixed(4)}`].filter(Boolean).join("\n");
  return cell;
}

function fillPairs(board, view) {
  const rows = board.groups.flatMap((group) => group.rows).filter((row) => row.page);
  const pairs = board.pairs.filter((pair) => pair.metric === view.metric);
  const known = rows.filter((row) => pairs.some((pair) => [pair.first, pair.second].includes(row.page)));
  byId("pairs").hidden = !rows.length;
  if (!known.length) {
    byId("matrix").replaceChildren(el("p", { class: "note" }, "Needs the statistics of single items of at least two rows with the same signatures: runs have them, packed submissions do not."));
    return;
  }
  const name = (row, scope) => el("th", { scope, dir: "auto" }, textNodes(row.labels.slice(0, 2).join(", ")));
  const cell = (a, b) => {
    const pair = pairs.find((one) => (one.first === a.page && one.second === b.page) || (one.first === b.page && one.second === a.page));
    return pair ? difference(pair, pair.first !== a.page) : el("td", {}, "");
  };
  const lines = known.map((a) => el("tr", {}, name(a, "row"), ...known.map((b) => cell(a, b))));
  const others = rows.filter((row) => !known.includes(row)).map((row) => row.labels[0]);
  const note = others.length ? [el("p", { class: "note" }, "Not compared, for want of statistics of single items or by another signature: ", textNodes(others.join(", ")), ".")] : [];
  byId("matrix").replaceChildren(...note, el("table", {}, el("thead", {}, el("tr", {}, el("td"), ...known.map((row) => name(row, "col")))), el("tbody", {}, ...lines)));
}
