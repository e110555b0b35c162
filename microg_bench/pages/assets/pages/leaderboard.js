"use strict";
// The leaderboard: which board is shown, what is left of it, how it is sorted. The address names the view.
{
  const { byId, readData, el, textNodes, number, interval, tip, readAddress, writeAddress } = microg.dom;
  const { setOptions, values, listen, predicate } = microg.filters;

  const { boards } = readData();
  const FILTERS = ["protocol", "access", "frames"];
  const NAMES = ["task", "sort", "metric", ...FILTERS];
  const view = {};

  // The board.

  function nameOf(board) {
    const items = board.items ? `, ${board.items.toLocaleString("en")} items` : "";
    const what = board.warning ? `${board.dataset}, no benchmark` : board.dataset;
    return board.dataset ? `${board.protocol}, ${what}${items} (${board.fingerprint})` : board.protocol;
  }

  const current = () => boards.find((board) => board.task === view.task && nameOf(board) === view.protocol);

  // Tables of actions and of probes have neither plots nor filters of models.
  const ofScores = (board) => ["caption", "vqa"].includes(board.task);

  function frameCounts(board) {
    const counts = board.groups.flatMap((group) => group.rows).map((row) => row.frames).filter((count) => typeof count === "number");
    return ["", ...[...new Set(counts)].sort((a, b) => a - b).map(String)];
  }

  const TESTS = {
    access: (access) => (row) => row.access === access,
    frames: (count) => (row) => String(row.frames) === count,
  };

  // The groups of a board with the rows that pass the filters, which baselines ignore.
  function visible(board) {
    const passes = predicate(view, TESTS);
    return board.groups
      .filter((group) => group.kind !== "published" || view.published)
      .map((group) => (group.kind === "baseline" ? group : { ...group, rows: group.rows.filter(passes) }));
  }

  // The table.

  // A column is what its name is sorted by: a label, or a score.
  function sortKey(board) {
    const label = board.labels.indexOf(view.sort), column = board.columns.indexOf(view.sort);
    if (label < 0) return (row) => row.values[column];
    return (row) => { const text = row.labels[label]; return text !== "" && !isNaN(text) ? Number(text) : text.toLowerCase(); };
  }

  // 1 for the best and 2 for the second best of each column, as shown, among rows that are ranked: the highest, but
  // for the columns in `lower`. A score with
  // another signature than the published one takes no part.
  function ranks(rows, { columns, lower }) {
    return columns.map((name, place) => {
      const counts = (row) => row.ranked && !row.faults[place] && row.values[place] !== null;
      const shown = rows.filter(counts).map((row) => number(row.values[place]));
      const top = [...new Set(shown)].sort((a, b) => (lower.includes(name) ? a - b : b - a)).slice(0, 2);
      return (row) => shown.length < 2 || !counts(row) ? 0 : 1 + top.indexOf(number(row.values[place]));
    });
  }

  // The highest value or bound of each column, the greatest of all differences where they are signed: the length of a full bar.
  function tops(board) {
    const rows = board.groups.flatMap((group) => group.rows);
    if (board.signed) {
      const most = Math.max(...rows.flatMap((row) => row.values).map(Math.abs)) || 1;
      return board.columns.map(() => most);
    }
    return board.columns.map((_, place) => rows.reduce((most, row) => Math.max(most, row.values[place] ?? 0, row.bounds[place]?.[1] ?? 0), 0) || 1);
  }

  function scoreCell(board, row, place, top, rank) {
    const value = row.values[place], bounds = row.bounds[place];
    const cell = el("td", { class: `number score ${["", "best", "second"][rank]}` }, el("span", { class: "value" }, number(value)));
    if (value === null) return cell;
    if (board.signed) cell.append(microg.charts.gapBar(value, top));
    else if (row.page || bounds) cell.append(microg.charts.scoreBar(value, bounds, top));
    return tip(cell, interval(bounds), row.signatures[place]);
  }

  function nameCell(row, marks) {
    const name = el(row.page ? "a" : "span", { dir: "auto", ...(row.page ? { href: row.page } : {}) }, textNodes(row.labels[0]));
    const cell = el("th", { scope: "row" }, name);
    if (row.access === "closed") cell.append(" ", el("span", { class: "badge" }, "closed"));
    if (row.doubtful) cell.append(" ", el("span", { class: "badge bad" }, "unreliable"));
    if (marks.length) cell.append(el("sup", {}, marks.join(",")));
    return tip(cell, row.counts, ...row.notes);
  }

  // Numbers the notes of all rows in the order of their first appearance.
  function numbered(rows) {
    return [...new Set(rows.flatMap((row) => row.notes))];
  }

  function groupBody(board, group, top, notes) {
    const rank = ranks(group.rows, board);
    const lines = group.rows.map((row) => el("tr", { class: group.kind },
      nameCell(row, row.notes.map((note) => notes.indexOf(note) + 1)),
      ...row.labels.slice(1).map((label) => el("td", {}, textNodes(label))),
      ...board.columns.map((_, place) => scoreCell(board, row, place, top[place], rank[place](row)))));
    const title = group.source ? `${group.title}: ${group.source}` : group.title;
    const width = board.labels.length + board.columns.length;
    return el("tbody", { "data-kind": group.kind }, el("tr", {}, el("th", { colspan: width, scope: "rowgroup" }, title)), ...lines);
  }

  function showTable(board) {
    const sort = (rows) => microg.table.sorted(rows, sortKey(board), view.descending);
    const groups = visible(board).filter((group) => group.rows.length).map((group) => ({ ...group, rows: sort(group.rows) }));
    const rows = groups.flatMap((group) => group.rows), notes = numbered(rows), top = tops(board);
    const columns = [...board.labels.map((name) => ({ name })), ...board.columns.map((name) => ({ name, number: true }))];
    const head = microg.table.head(columns, { name: view.sort, descending: view.descending });
    byId("board").replaceChildren(head, ...groups.map((group) => groupBody(board, group, top, notes)));
    byId("notes").replaceChildren(...notes.map((note, place) => el("li", {}, el("sup", {}, String(place + 1)), " ", textNodes(note))));
    byId("warning").hidden = !board.warning;
    byId("warning").textContent = board.warning;
    byId("about").textContent = board.about ?? [
      ...(board.told ? [board.told] : []),
      `Scores ${board.unit}, higher is better${board.lower.length ? `, lower for ${board.lower.join(", ")}` : ""}; bars show 95% intervals over source videos. ${board.warning ? "" : "Best and second best of each group are marked."}`,
      ...(groups.some((group) => group.kind === "baseline") ? ["Baselines ignore the filters and are never ranked best."] : []),
      ...(notes.length ? ["Notes say which numbers are not comparable with the paper, and what else to know of them; they are tooltips of the names, too."] : []),
    ].join(" ");
    byId("count").textContent = `${rows.length} rows`;
  }

  // The plots.

  // Models of a board that have both numbers; published rows are not among them.
  function points(board, place, of) {
    return visible(board).filter((group) => group.kind === "model").flatMap((group) => group.rows
      .filter((row) => typeof of(row) === "number" && row.values[place] !== null)
      .map((row) => ({ x: of(row), y: row.values[place], bounds: row.bounds[place], name: row.labels[0], kind: row.access })));
  }

  function baselines(board, place) {
    return board.groups.filter((group) => group.kind === "baseline").flatMap((group) => group.rows)
      .filter((row) => row.values[place] !== null)
      .map((row) => ({ name: row.labels[0], y: row.values[place] }));
  }

  function showPlots(board) {
    const place = board.columns.indexOf(view.metric), lines = baselines(board, place);
    const draw = (id, of, label, none) => {
      const found = points(board, place, of);
      const described = `${view.metric} against ${label}: ${found.length} points`;
      byId(id).replaceChildren(found.length ? microg.charts.scatter({ points: found, lines, label, described }) : el("p", { class: "note" }, none));
    };
    draw("by-frames", (row) => row.frames, "frames", "No model of this board, as filtered, was shown a number of frames.");
    draw("by-cost", (row) => row.dollars, "US dollars", "No model of this board, as filtered, has a known price: only models behind an API have one.");
  }

  // Pairwise significance.

  function showPairs(board) {
    const rows = board.groups.flatMap((group) => group.rows).filter((row) => row.page);
    const pairs = board.pairs.filter((pair) => pair.metric === view.metric);
    const compared = new Set(pairs.flatMap((pair) => [pair.first, pair.second]));
    const known = rows.filter((row) => compared.has(row.page));
    const others = rows.filter((row) => !compared.has(row.page)).map((row) => row.labels[0]);
    byId("pairs").hidden = !rows.length || board.task === "robustness";
    if (!known.length) {
      byId("matrix").replaceChildren(el("p", { class: "note" }, "Needs the statistics of single items of at least two rows with the same signatures: runs have them, packed submissions do not."));
      return;
    }
    const note = others.length ? [el("p", { class: "note" }, "Not compared, because the statistics of single items are missing or the signature is another: ", textNodes(others.join(", ")), ".")] : [];
    const named = known.map((row) => ({ key: row.page, name: row.labels.slice(0, 2).join(", ") }));
    byId("matrix").replaceChildren(...note, microg.table.matrix(named, pairs));
  }

  // The view.

  // What is not given, or not to be had on this board, goes back to its default.
  function settle() {
    if (!boards.some((board) => board.task === view.task)) view.task = boards[0].task;
    const names = boards.filter((board) => board.task === view.task).map(nameOf);
    if (!names.includes(view.protocol)) view.protocol = names[0];
    const board = current();
    if (!["open", "closed"].includes(view.access) || !ofScores(board)) view.access = "";
    if (!frameCounts(board).includes(view.frames)) view.frames = "";
    if (![...board.labels, ...board.columns].includes(view.sort)) [view.sort, view.descending] = [board.columns[0], true];
    if (!board.columns.includes(view.metric)) view.metric = board.columns[0];
  }

  function fillTools(board) {
    const tasks = new Map(boards.map((one) => [one.task, one.title]));
    byId("tasks").replaceChildren(...[...tasks].map(([task, title]) => el("button", { type: "button", "data-task": task, "aria-pressed": String(task === view.task) }, title)));
    setOptions(byId("protocol"), boards.filter((one) => one.task === view.task).map((one) => [nameOf(one), nameOf(one)]));
    setOptions(byId("frames"), frameCounts(board).map((count) => [count, count || "any"]));
    setOptions(byId("metric"), board.columns.map((name) => [name, name]));
    for (const name of [...FILTERS, "metric"]) byId(name).value = view[name];
    for (const name of ["access", "frames"]) byId(name).parentElement.hidden = !ofScores(board);
    byId("published").checked = view.published;
    byId("published").parentElement.hidden = !board.groups.some((group) => group.kind === "published");
  }

  function show(changed = {}) {
    Object.assign(view, changed);
    settle();
    const board = current();
    fillTools(board);
    showTable(board);
    byId("charts").hidden = !ofScores(board);
    if (ofScores(board)) showPlots(board);
    showPairs(board);
    const named = Object.fromEntries(NAMES.map((name) => [name, view[name]]));
    writeAddress({ ...named, published: view.published ? "" : "no", order: view.descending ? "" : "up" });
  }

  function showAddressed() {
    const given = readAddress();
    const named = Object.fromEntries(NAMES.map((name) => [name, given.get(name) ?? ""]));
    show({ ...named, published: given.get("published") !== "no", descending: given.get("order") !== "up" });
  }

  // What is clicked is built anew, so the new button gets the focus.
  function listenToButtons(id, name, changes) {
    byId(id).addEventListener("click", (event) => {
      const chosen = event.target.closest(`[data-${name}]`)?.dataset[name];
      if (chosen === undefined) return;
      show(changes(chosen));
      [...byId(id).querySelectorAll(`[data-${name}]`)].find((one) => one.dataset[name] === chosen).focus();
    });
  }

  listenToButtons("tasks", "task", (task) => ({ task }));
  listenToButtons("board", "sort", (sort) => ({ sort, descending: view.sort === sort ? !view.descending : current().columns.includes(sort) }));
  listen(byId("tools"), () => show(values(byId("tools"))));
  byId("metric").addEventListener("change", () => show({ metric: byId("metric").value }));
  addEventListener("hashchange", showAddressed);

  showAddressed();
  document.documentElement.dataset.ready = "yes";
}
