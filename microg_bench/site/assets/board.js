"use strict";
// The table of a board: groups of rows that are sorted each by itself, scores with their intervals as bars.

// A column is what its name is sorted by: a label, or a score.
function sortKey(board, sort) {
  const label = board.labels.indexOf(sort);
  if (label >= 0) return (row) => { const text = row.labels[label]; return text !== "" && !isNaN(text) ? Number(text) : text.toLowerCase(); };
  const column = board.columns.indexOf(sort);
  return (row) => row.values[column];
}

// Rows without a value come last, whichever way the others go.
function sorted(rows, key, descending) {
  const sign = descending ? -1 : 1;
  return [...rows].sort((a, b) => {
    const [x, y] = [key(a), key(b)];
    if (x === null || y === null) return (x === null) - (y === null);
    if (typeof x !== typeof y) return typeof x === "string" ? 1 : -1;
    return x === y ? 0 : sign * (x < y ? -1 : 1);
  });
}

// 1 for the best and 2 for the second best of each column, as shown, among rows that are ranked; a score with
// another signature than the published one takes no part.
function ranks(rows, columns) {
  return columns.map((_, place) => {
    const counts = (row) => row.ranked && !row.faults[place] && row.values[place] !== null;
    const values = rows.filter(counts).map((row) => shown(row.values[place]));
    const top = [...new Set(values)].sort((a, b) => b - a);
    return (row) => values.length < 2 || !counts(row) ? 0 : 1 + top.slice(0, 2).indexOf(shown(row.values[place]));
  });
}

// The highest value or bound of each column: the length of a full bar.
function tops(board) {
  const rows = board.groups.flatMap((group) => group.rows);
  return board.columns.map((_, place) => rows.reduce((most, row) => Math.max(most, row.values[place] ?? 0, row.bounds[place]?.[1] ?? 0), 0) || 1);
}

function bar(value, bounds, top) {
  const x = (number) => (100 * Math.max(0, number)) / top;
  const parts = [svg("rect", { class: "bar", x: 0, y: 2, width: x(value), height: 6 })];
  if (bounds) {
    const [low, high] = bounds.map(x);
    parts.push(svg("path", { class: "whisker", d: `M${low} 5H${high}M${low} 2V8M${high} 2V8` }));
  }
  return svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
}

function scoreCell(row, place, top, rank) {
  const value = row.values[place];
  const cell = el("td", { class: `number score ${["", "best", "second"][rank]}` }, el("span", { class: "value" }, shown(value)));
  if (value === null) return cell;
  const bounds = row.bounds[place];
  const interval = bounds ? `95% interval ${shown(bounds[0])} to ${shown(bounds[1])}` : "";
  cell.title = [interval, row.signatures[place]].filter(Boolean).join("\n");
  if (row.page || bounds) cell.append(bar(value, bounds, top));
  return cell;
}

function nameCell(row, marks) {
  const name = row.page ? el("a", { href: row.page, dir: "auto" }, textNodes(row.labels[0])) : el("span", { dir: "auto" }, textNodes(row.labels[0]));
  const cell = el("th", { scope: "row" }, name);
  if (row.access === "closed") cell.append(" ", el("span", { class: "badge" }, "closed"));
  if (marks.length) cell.append(el("sup", {}, marks.join(",")));
  return cell;
}

function head(board, view) {
  const cell = (name, number) => {
    const direction = view.sort === name ? (view.descending ? "descending" : "ascending") : "none";
    const button = el("button", { type: "button", "data-sort": name }, name);
    return el("th", { scope: "col", class: number ? "number" : "", "aria-sort": direction }, button);
  };
  return el("thead", {}, el("tr", {}, ...board.labels.map((name) => cell(name, false)), ...board.columns.map((name) => cell(name, true))));
}

// Fills the table and the notes, and returns how many rows are shown.
function fillBoard(board, view) {
  const key = sortKey(board, view.sort), top = tops(board), notes = [];
  const width = board.labels.length + board.columns.length;
  let count = 0;
  const bodies = visible(board, view).filter((group) => group.rows.length).map((group) => {
    const rank = ranks(group.rows, board.columns);
    const rows = sorted(group.rows, key, view.descending).map((row) => {
      const marks = row.notes.map((note) => { if (!notes.includes(note)) notes.push(note); return notes.indexOf(note) + 1; });
      const labels = row.labels.slice(1).map((label) => el("td", {}, textNodes(label)));
      const scores = board.columns.map((_, place) => scoreCell(row, place, top[place], rank[place](row)));
      return el("tr", { class: group.kind }, nameCell(row, marks), ...labels, ...scores);
    });
    count += rows.length;
    const title = group.source ? `${group.title}: ${group.source}` : group.title;
    return el("tbody", { "data-kind": group.kind }, el("tr", {}, el("th", { colspan: width, scope: "rowgroup" }, title)), ...rows);
  });
  byId("board").replaceChildren(head(board, view), ...bodies);
  byId("notes").replaceChildren(...notes.map((note, place) => el("li", {}, el("sup", {}, String(place + 1)), " ", textNodes(note))));
  return count;
}
