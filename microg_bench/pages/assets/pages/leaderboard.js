"use strict";
// The leaderboard: which board is shown, what is left of it, how it is sorted. The address names the view.
{
  const { byId, readData, el, textNodes, number, readAddress, writeAddress } = microg.dom;
  const { setOptions, values, listen, predicate, withWords } = microg.filters;
  const { columns, sortKey } = microg.board;

  const { boards } = readData();
  const FILTERS = ["protocol", "access", "frames", "search", "against"];
  const NAMES = ["task", "sort", "metric", "columns", ...FILTERS];
  const FIRST = ["parameters", "date", "cost", "latency"]; // columns beside the scores where there is room for them
  const NONE = "none"; // of these columns is shown
  const DETAILS = new Set(boards.flatMap((board) => board.details ?? []).map((one) => one.name)); // all of these columns
  const MOST = 30; // rows of which all pairs are shown
  const view = {};

  // The board.

  function nameOf(board) {
    const items = board.items ? `, ${board.items.toLocaleString("en")} items` : "";
    const what = board.warning ? `${board.dataset}, no benchmark` : board.dataset;
    return board.dataset ? `${board.protocol}, ${what}${items} (${board.fingerprint})` : board.protocol;
  }

  const current = () => boards.find((board) => board.task === view.task && nameOf(board) === view.protocol);

  const rowsOf = (board) => board.groups.flatMap((group) => group.rows);

  // The first board that has rows which are not published ones only; a benchmark before the sample set.
  function preferred(some) {
    const own = some.filter((board) => board.groups.some((group) => group.kind !== "published" && group.rows.length));
    return own.find((board) => !board.warning) ?? own[0] ?? some[0];
  }

  // Tables of actions and of probes have neither plots nor filters of models.
  const ofScores = (board) => ["caption", "vqa"].includes(board.task);

  function frameCounts(board) {
    const counts = rowsOf(board).map((row) => row.frames).filter((count) => typeof count === "number");
    return ["", ...[...new Set(counts)].sort((a, b) => a - b).map(String)];
  }

  // Everything by which a row is found.
  function wordsOf(row) {
    const named = ["checkpoint", "organisation", "parameters"].map((name) => row.details?.[name]);
    return [...row.labels, row.access, row.search, ...named.map((one) => (one && !one.why ? one.text : ""))].join(" ");
  }

  const TESTS = {
    access: (access) => (row) => row.access === access,
    frames: (count) => (row) => String(row.frames) === count,
  };

  // The groups of a board with the rows that pass the filters, in their order. Baselines pass all but the search.
  function visible(board) {
    const passes = predicate(view, TESTS), found = withWords(view.search, wordsOf);
    const sorted = (rows) => microg.table.sorted(rows, sortKey(board, view.sort), view.descending);
    return board.groups
      .filter((group) => group.kind !== "published" || view.published)
      .map((group) => ({ ...group, rows: sorted(group.rows.filter((row) => found(row) && (group.kind === "baseline" || passes(row)))) }));
  }

  // Comparisons of the rows of a board.

  function pairsOf(board, metric) {
    const { pages = [], families = [], lines = [] } = board.pairs[metric] ?? {};
    return lines.map(([first, second, value, low, high, p, family]) => ({ first: pages[first], second: pages[second], value, bounds: low === null ? null : [low, high], p, least: families[family][2] }));
  }

  // Where the p-values of these metrics cannot fall below 0.05, in words.
  function untestable(board, metrics) {
    const families = metrics.flatMap((metric) => board.pairs[metric]?.families ?? []).filter((family) => family[2] >= 0.05);
    const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;
    const words = families.map(([sources, pairs, least]) => `With ${counted(sources, "source video")} and ${counted(pairs, "pair")}, p cannot fall below ${number(least, 4)}: no difference can be told.`);
    return [...new Set(words)];
  }

  // The rows that were compared with others by one metric, or by any.
  function comparedRows(board, metrics = board.columns) {
    const pages = new Set(metrics.flatMap((metric) => board.pairs[metric]?.pages ?? []));
    return rowsOf(board).filter((row) => pages.has(row.page));
  }

  const labelled = (row) => row.labels.slice(0, 2).filter(Boolean).join(", ");

  // The row that is chosen to be compared with the others.
  const comparedTo = (board) => rowsOf(board).find((row) => row.page && row.page === view.against);

  function against(board) {
    const row = comparedTo(board);
    if (!row) return null;
    const finders = new Map(board.columns.map((metric) => [metric, microg.table.finder(pairsOf(board, metric))]));
    return { row, find: (metric) => finders.get(metric) };
  }

  // The table.

  // The names of the columns beside the scores; before any is chosen, those for which the screen has room.
  function chosenColumns() {
    if (view.columns) return view.columns.split(",");
    return matchMedia("(min-width: 64rem)").matches ? FIRST : [];
  }

  function shownColumns(board) {
    const chosen = chosenColumns();
    return columns(board).filter((column) => column.kind !== "detail" || chosen.includes(column.name));
  }

  function aboutBoard(board, groups, notes) {
    if (board.about) return board.about;
    const other = comparedTo(board);
    const marks = other ? [`▲ significantly higher and ▼ significantly lower than ${labelled(other)}, ≈ neither (p < 0.05, corrected by Holm's method over all pairs of a metric), ? cannot be tested; no mark: not compared. Interval and p-value come of two methods, and may disagree: the p-value decides.`, ...untestable(board, board.columns)] : [];
    const bars = groups.some((group) => group.rows.some((row) => row.bounds.some(Boolean))) ? "; bars show 95% intervals over source videos" : "";
    return [
      ...(board.told ? [board.told] : []),
      `Scores ${board.unit}, higher is better${board.lower.length ? `, lower for ${board.lower.join(", ")}` : ""}${bars}. ${board.warning ? "" : "Best and second best of each group are marked."}`,
      ...marks,
      ...(groups.some((group) => group.kind === "baseline") ? ["Baselines ignore the filters of weights and frames, and are never ranked best."] : []),
      ...(notes.length ? ["Notes say which numbers are not comparable with the paper, and what else to know of them."] : []),
    ].join(" ");
  }

  // The board and what is left of it, in words: on paper there are no controls.
  function caption(board, count) {
    const filters = [view.access && `${view.access} weights`, view.frames && `${view.frames} frames`, view.search && `“${view.search}”`].filter(Boolean);
    const only = filters.length ? `, only ${filters.join(", ")}` : "";
    return `${board.title}: ${nameOf(board)}. ${count} rows${only}${view.published ? "" : ", without published ones"}.`;
  }

  function showTable(board, groups) {
    const sort = { name: view.sort, descending: view.descending };
    const { nodes, notes } = microg.board.table(board, groups, { columns: shownColumns(board), sort, against: against(board) });
    const count = groups.reduce((sum, group) => sum + group.rows.length, 0);
    byId("board").replaceChildren(el("caption", {}, textNodes(caption(board, count))), ...nodes);
    byId("notes").replaceChildren(...notes.map((note, place) => el("li", {}, el("sup", {}, String(place + 1)), " ", textNodes(note))));
    byId("warning").hidden = !board.warning;
    byId("warning").textContent = board.warning;
    byId("about").replaceChildren(textNodes(aboutBoard(board, groups, notes)));
    byId("count").textContent = `${count} rows`;
  }

  // The plots.

  // The first score that a model has, then the first that any row has; of a board without rows, its first.
  function firstKnown(board) {
    const models = board.groups.filter((group) => group.kind === "model").flatMap((group) => group.rows);
    const known = [models, rowsOf(board)].map((rows) => board.columns.find((_, place) => rows.some((row) => row.values[place] !== null)));
    return known.find(Boolean) ?? board.columns[0];
  }

  // Why a plot of what `of` gives has no point, or null where it has one; `lack` is said where no row has it.
  function whyEmpty(rows, place, of, lack) {
    const scored = (row) => row.values[place] !== null, placed = (row) => typeof of(row) === "number";
    if (!rows.length) return "No model is shown: the board has none, or the filters and the search leave none.";
    if (!rows.some(scored)) return `No model that is shown has a value of ${view.metric}.`;
    if (!rows.some(placed)) return lack;
    return rows.some((row) => scored(row) && placed(row)) ? null : `No model that is shown has both: ${lack} Others have no value of ${view.metric}.`;
  }

  // As shown: what is equal in the table is equal in a plot.
  const asShown = (value) => Number(number(value));

  // Models of a board that have both numbers, published ones among them.
  function points(groups, place, of) {
    return groups.filter((group) => group.kind !== "baseline").flatMap((group) => group.rows
      .filter((row) => typeof of(row) === "number" && row.values[place] !== null)
      .map((row) => ({ x: of(row), y: asShown(row.values[place]), bounds: row.bounds[place]?.map(asShown) ?? null, name: row.labels[0], kind: group.kind === "published" ? "published" : row.access })));
  }

  function baselines(board, place) {
    return board.groups.filter((group) => group.kind === "baseline").flatMap((group) => group.rows)
      .filter((row) => row.values[place] !== null)
      .map((row) => ({ name: row.labels[0].replace(/^Baseline: /, ""), y: asShown(row.values[place]) }));
  }

  function showPlots(board, groups) {
    const place = board.columns.indexOf(view.metric), lines = baselines(board, place);
    const rows = groups.filter((group) => group.kind !== "baseline").flatMap((group) => group.rows);
    const draw = (id, of, label, lack) => {
      const none = whyEmpty(rows, place, of, lack), found = points(groups, place, of);
      const described = `${view.metric} against ${label}: ${found.length} points`;
      const legend = microg.charts.legend([...new Set(found.map((point) => point.kind))], lines.length > 0);
      byId(id).replaceChildren(...(none === null ? [microg.charts.scatter({ points: found, lines, label, described }), legend] : [el("p", { class: "note" }, none)]));
    };
    draw("by-frames", (row) => row.frames, "frames", "No model that is scored was shown a number of frames: some see no video, others the whole clip.");
    draw("by-cost", (row) => row.dollars, "US dollars", "No model that is scored has a known price: only models behind an API have one.");
  }

  // Pairwise significance.

  function whyNoPairs(board, rows) {
    const place = board.columns.indexOf(view.metric);
    if (rows.length < 2) return "Fewer than two runs are shown: the board has no more, or the filters and the search leave no more.";
    if (rows.filter((row) => row.values[place] !== null).length < 2) return `Fewer than two runs that are shown have a value of ${view.metric}.`;
    return "Needs the statistics of single items of two rows or more, as filtered, with the same signatures. Scored runs have them; submissions get them where the leaderboard is built with --data.";
  }

  function showPairs(board, groups) {
    const rows = groups.flatMap((group) => group.rows).filter((row) => row.page);
    const compared = new Set(comparedRows(board, [view.metric]));
    const all = rows.filter((row) => compared.has(row)), known = all.slice(0, MOST);
    const others = rows.filter((row) => !compared.has(row)).map((row) => row.labels[0]);
    byId("pairs").hidden = !rows.length || !(ofScores(board) || board.task.startsWith("judged"));
    byId("of-pairs").textContent = view.metric;
    if (known.length < 2) {
      byId("matrix").replaceChildren(el("p", { class: "note" }, whyNoPairs(board, rows)));
      return;
    }
    const note = others.length ? [el("p", { class: "note" }, "Not compared, because the statistics of single items are missing, the signature is another, or too many rows score higher: ", textNodes(others.join(", ")), ".")] : [];
    note.push(...untestable(board, [view.metric]).map((words) => el("p", { class: "note" }, words)));
    if (all.length > MOST) note.push(el("p", { class: "note" }, `The first ${MOST} of ${all.length} rows, in the order of the table; filters and search leave others.`));
    const named = known.map((row) => ({ key: row.page, name: labelled(row) }));
    byId("matrix").replaceChildren(...note, microg.table.matrix(named, pairsOf(board, view.metric)));
  }

  // The view.

  // What is not given, or not to be had on this board, goes back to its default.
  function settle() {
    if (!boards.some((board) => board.task === view.task)) view.task = preferred(boards).task;
    const some = boards.filter((board) => board.task === view.task);
    if (!some.map(nameOf).includes(view.protocol)) view.protocol = nameOf(preferred(some));
    const board = current();
    if (!["open", "closed"].includes(view.access) || !ofScores(board)) view.access = "";
    if (!frameCounts(board).includes(view.frames)) view.frames = "";
    if (!columns(board).some((column) => column.name === view.sort)) [view.sort, view.descending] = [firstKnown(board), !board.lower.includes(firstKnown(board))];
    if (!board.columns.includes(view.metric)) view.metric = firstKnown(board);
    if (view.columns !== NONE) view.columns = view.columns.split(",").filter((name) => DETAILS.has(name)).join();
    if (!comparedRows(board).some((row) => row.page === view.against)) view.against = "";
  }

  function fillTools(board) {
    const tasks = new Map(boards.map((one) => [one.task, one.title]));
    byId("tasks").replaceChildren(...[...tasks].map(([task, title]) => el("button", { type: "button", "data-task": task, "aria-pressed": String(task === view.task) }, title)));
    setOptions(byId("protocol"), boards.filter((one) => one.task === view.task).map((one) => [nameOf(one), nameOf(one)]));
    setOptions(byId("frames"), frameCounts(board).map((count) => [count, count || "any"]));
    setOptions(byId("against"), [["", "no row"], ...comparedRows(board).map((row) => [row.page, textNodes(labelled(row)).textContent])]);
    setOptions(byId("metric"), board.columns.map((name) => [name, name]));
    for (const name of [...FILTERS, "metric"]) if (byId(name).value !== view[name]) byId(name).value = view[name];
    for (const name of ["access", "frames"]) byId(name).parentElement.hidden = !ofScores(board);
    byId("protocol").parentElement.hidden = !board.protocol;
    byId("against").parentElement.hidden = byId("against").options.length < 3;
    byId("published").checked = view.published;
    byId("published").parentElement.hidden = !board.groups.some((group) => group.kind === "published");
    fillColumns(board);
  }

  function fillColumns({ details = [] }) {
    const chosen = chosenColumns(), box = byId("columns");
    box.parentElement.hidden = !details.length;
    if (box.elements.length !== details.length) {
      box.replaceChildren(...details.map(({ name, heading }) => el("label", { class: "check" }, el("input", { type: "checkbox", name }), el("span", {}, heading))));
    }
    for (const one of box.elements) one.checked = chosen.includes(one.name);
  }

  function show(changed = {}) {
    Object.assign(view, changed);
    settle();
    const board = current(), groups = visible(board).filter((group) => group.rows.length);
    fillTools(board);
    showTable(board, groups);
    byId("charts").hidden = !ofScores(board);
    byId("of-charts").textContent = view.metric;
    if (ofScores(board)) showPlots(board, groups);
    showPairs(board, groups);
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

  // Numbers are sorted with the highest first, names with the first letter.
  function sortedBy(name) {
    const { number } = columns(current()).find((column) => column.name === name);
    return { sort: name, descending: view.sort === name ? !view.descending : Boolean(number) || name === "date" };
  }

  listenToButtons("tasks", "task", (task) => ({ task }));
  listenToButtons("board", "sort", sortedBy);
  listen(byId("tools"), () => show(values(byId("tools"))));
  listen(byId("columns"), () => show({ columns: [...byId("columns").elements].filter((one) => one.checked).map((one) => one.name).join() || NONE }));
  byId("metric").addEventListener("change", () => show({ metric: byId("metric").value }));
  addEventListener("hashchange", showAddressed);

  showAddressed();
  document.documentElement.dataset.ready = "yes";
}
