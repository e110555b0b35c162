"use strict";
// The table of a board: rows in groups, scores with their bars and ranks, and the columns beside the scores.
//
// columns(board) -> all columns in their order: [{name, heading, about, number, kind, place}]; `kind` is "label", "score" or
// "detail", `place` that of the label or score.
// sortKey(board, name) -> the key of a row by the column of this name, for microg.table.sorted.
// table(board, groups, {columns, sort, against}) -> the contents of a <table>, and the notes of its rows. `columns` are
// those to show, `sort` is {name, descending}. `against` is {row, find} where a row is compared with the others:
// find(metric)(page, page) -> their difference.
{
  const { el, textNodes, number, signed, interval } = microg.dom;
  const { explain, explained } = microg.help;

  function columns(board) {
    const about = board.explanations ?? {};
    return [
      ...board.labels.map((name, place) => ({ name, about: about[name], kind: "label", place })),
      ...board.columns.map((name, place) => ({ name, about: about[name], kind: "score", place, number: true })),
      ...(board.details ?? []).map((one) => ({ ...one, kind: "detail" })),
    ];
  }

  function sortKey(board, name) {
    const { kind, place } = columns(board).find((column) => column.name === name);
    if (kind === "score") return (row) => row.values[place];
    if (kind === "detail") return (row) => row.details[name].order;
    return (row) => { const text = row.labels[place]; return text !== "" && !isNaN(text) ? Number(text) : text.toLowerCase(); };
  }

  // A value as it is shown: with two decimals, or as its row has the words.
  const shownText = (row, place) => row.texts?.[place] ?? number(row.values[place]);

  // 1 for the best and 2 for the second best of each score, as shown, among rows that are ranked: the highest, but for
  // the scores in `lower`. A score with another signature than the published one takes no part.
  function ranks(rows, { columns: scores, lower }) {
    return scores.map((name, place) => {
      const counts = (row) => row.ranked && !row.faults[place] && row.values[place] !== null;
      const rankedBy = (row) => row.texts?.[place] ? row.values[place] : Number(number(row.values[place]));
      const shown = rows.filter(counts).map(rankedBy);
      const top = [...new Set(shown)].sort((a, b) => (lower.includes(name) ? a - b : b - a)).slice(0, 2);
      return (row) => shown.length < 2 || !counts(row) ? 0 : 1 + top.indexOf(rankedBy(row));
    });
  }

  // The highest value or bound of each score, the greatest of all differences where they are signed: the length of a full bar.
  function tops(board) {
    const rows = board.groups.flatMap((group) => group.rows);
    if (board.signed) {
      const most = Math.max(...rows.flatMap((row) => row.values).map(Math.abs)) || 1;
      return board.columns.map(() => most);
    }
    return board.columns.map((_, place) => rows.reduce((most, row) => Math.max(most, row.values[place] ?? 0, row.bounds[place]?.[1] ?? 0), 0) || 1);
  }

  function told(...lines) {
    return lines.filter(Boolean).join("\n");
  }

  const NEITHER = ["≈", "no significant difference"], HIGHER = ["▲", "significantly higher"], LOWER = ["▼", "significantly lower"];

  const UNTESTED = ["?", "cannot be tested"];

  // Whether a score differs from that of the row that is compared with the others.
  function mark({ value, p, least }) {
    const significant = p !== null && p < 0.05, beyond = value > 0 ? HIGHER : LOWER;
    const [sign, words] = least >= 0.05 ? UNTESTED : significant ? beyond : NEITHER;
    return el("span", { class: "mark", role: "img", "aria-label": words }, sign);
  }

  function gap(found, name) {
    return [`${signed(found.value)} than ${name}`, interval(found.bounds), found.p === null ? "" : `p = ${number(found.p, 4)}`].filter(Boolean).join(", ");
  }

  function scoreCell(board, row, { name, place }, { top, rank, against }) {
    const value = row.values[place], bounds = row.bounds[place];
    const cell = el("td", { class: `number score ${["", "best", "second"][rank[place](row)]}` });
    if (value === null) {
      cell.append(explained("n/a", row.missing[place]));
      return cell;
    }
    const found = against && row.page && row !== against.row ? against.find(name)(row.page, against.row.page) : undefined;
    if (found) cell.append(mark(found));
    cell.append(el("span", { class: "value" }, shownText(row, place)));
    if (board.signed) cell.append(microg.charts.gapBar(value, top[place]));
    else if (row.page || bounds) cell.append(microg.charts.scoreBar(value, bounds, top[place]));
    return explain(cell, told(interval(bounds), found && gap(found, against.row.labels[0]), row.signatures[place]));
  }

  function detailCell(row, { name, number: right }) {
    const { text, why } = row.details[name];
    return el("td", { class: right ? "number detail" : "detail" }, why ? explained(text, why) : textNodes(text));
  }

  function nameCell(row, marks) {
    const name = el(row.page ? "a" : "span", { dir: "auto", ...(row.page ? { href: row.page } : {}) }, textNodes(row.labels[0]));
    const cell = el("th", { scope: "row" }, name);
    if (row.access === "closed") cell.append(" ", el("span", { class: "badge" }, "closed"));
    if (row.doubtful) cell.append(" ", el("span", { class: "badge bad" }, "unreliable"));
    if (marks.length) cell.append(el("sup", {}, marks.join(",")));
    return explain(cell, told(row.counts, ...row.notes));
  }

  // The first label names the row.
  function rowCells(board, row, shown, look) {
    return shown.filter((column) => column.kind !== "label" || column.place > 0).map((column) => {
      if (column.kind === "label") return el("td", {}, textNodes(row.labels[column.place]));
      return column.kind === "score" ? scoreCell(board, row, column, look) : detailCell(row, column);
    });
  }

  function groupBody(board, group, shown, notes, look) {
    const rank = ranks(group.rows, board);
    const lines = group.rows.map((row) => el("tr", { class: row === look.against?.row ? `${group.kind} chosen` : group.kind },
      nameCell(row, row.notes.map((note) => notes.indexOf(note) + 1).sort((a, b) => a - b)),
      ...rowCells(board, row, shown, { ...look, rank })));
    const title = group.source ? `${group.title}: ${group.source}` : group.title;
    return el("tbody", { "data-kind": group.kind }, el("tr", {}, el("th", { colspan: shown.length, scope: "rowgroup" }, title)), ...lines);
  }

  // Notes are numbered in the order of their first appearance.
  function table(board, groups, { columns: shown, sort, against = null }) {
    const notes = [...new Set(groups.flatMap((group) => group.rows).flatMap((row) => row.notes))];
    const look = { top: tops(board), against };
    return { nodes: [microg.table.head(shown, sort), ...groups.map((group) => groupBody(board, group, shown, notes, look))], notes };
  }

  microg.board = { columns, sortKey, table };
}
