"use strict";
// The view: which board is shown, what is left of it, how it is sorted. It stands in the address, so that it can be linked.

const DATA = readData();
const FIELDS = ["protocol", "access", "frames"];
const view = { task: DATA.boards[0].task };

function current() {
  return DATA.boards.find((board) => board.task === view.task && boardName(board) === view.protocol);
}

function boardName(board) {
  const items = board.items ? `, ${board.items.toLocaleString("en")} items` : "";
  return board.dataset ? `${board.protocol}, ${board.dataset}${items} (${board.fingerprint})` : board.protocol;
}

// The groups of a board with the rows that the filters leave; floors stay, for they stand for every row.
function visible(board, wanted) {
  const keeps = (row) => (!wanted.access || row.access === wanted.access) && (!wanted.frames || String(row.frames) === wanted.frames);
  return board.groups
    .filter((group) => group.kind !== "printed" || wanted.printed)
    .map((group) => (group.kind === "floor" ? group : { ...group, rows: group.rows.filter(keeps) }));
}

// Tables of actions have neither frames to choose nor closed models.
function ofActions(board) {
  return board.task.startsWith("actions");
}

// What is not given, or not to be had on this board, goes back to its default.
function settle() {
  const tasks = [...new Set(DATA.boards.map((board) => board.task))];
  if (!tasks.includes(view.task)) view.task = tasks[0];
  const boards = DATA.boards.filter((board) => board.task === view.task);
  if (!boards.some((board) => boardName(board) === view.protocol)) view.protocol = boardName(boards[0]);
  const board = current();
  if (!["open", "closed"].includes(view.access) || ofActions(board)) view.access = "";
  if (!frameCounts(board).includes(view.frames)) view.frames = "";
  if (![...board.labels, ...board.columns].includes(view.sort)) [view.sort, view.descending] = [board.columns[0], true];
  if (!board.columns.includes(view.metric)) view.metric = board.columns[0];
}

function frameCounts(board) {
  const counts = board.groups.flatMap((group) => group.rows).map((row) => row.frames).filter((count) => typeof count === "number");
  return ["", ...[...new Set(counts)].sort((a, b) => a - b).map(String)];
}

function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const name of ["task", "sort", "metric", ...FIELDS]) view[name] = given.get(name) ?? "";
  view.printed = given.get("printed") !== "no";
  view.descending = given.get("order") !== "up";
}

function writeAddress() {
  const told = new URLSearchParams();
  for (const name of ["task", "sort", "metric", ...FIELDS]) if (view[name]) told.set(name, view[name]);
  if (!view.printed) told.set("printed", "no");
  if (!view.descending) told.set("order", "up");
  history.replaceState(null, "", `#${told}`);
}

function fillTools(board) {
  const tasks = new Map(DATA.boards.map((one) => [one.task, one.title]));
  byId("tasks").replaceChildren(...[...tasks].map(([task, title]) => el("button", { type: "button", "data-task": task, "aria-pressed": String(task === view.task) }, title)));
  setOptions(byId("protocol"), DATA.boards.filter((one) => one.task === view.task).map((one) => [boardName(one), boardName(one)]));
  setOptions(byId("frames"), frameCounts(board).map((count) => [count, count || "any"]));
  setOptions(byId("metric"), board.columns.map((name) => [name, name]));
  for (const name of [...FIELDS, "metric"]) byId(name).value = view[name];
  for (const name of ["access", "frames"]) byId(name).parentElement.hidden = ofActions(board);
  byId("printed").checked = view.printed;
}

function show() {
  settle();
  const board = current();
  fillTools(board);
  const count = fillBoard(board, view);
  byId("about").replaceChildren(textNodes(`Scores ${board.unit}, higher is better; bars show 95% intervals over source videos. Best and second best of each group are marked.`));
  byId("count").textContent = `${count} rows`;
  byId("charts").hidden = ofActions(board);
  if (!byId("charts").hidden) drawCharts(board, view);
  fillPairs(board, view);
  writeAddress();
}

// Sorting rebuilds the head, so the button that was used gets the focus back.
function sortBy(name) {
  const board = current();
  [view.descending, view.sort] = view.sort === name ? [!view.descending, name] : [board.columns.includes(name), name];
  show();
  [...byId("board").querySelectorAll("thead button")].find((button) => button.dataset.sort === name).focus();
}

function start() {
  readAddress();
  show();
  byId("board").addEventListener("click", (event) => { const button = event.target.closest("[data-sort]"); if (button) sortBy(button.dataset.sort); });
  byId("tasks").addEventListener("click", (event) => { const button = event.target.closest("[data-task]"); if (button) { view.task = button.dataset.task; show(); byId("tasks").querySelector("[aria-pressed='true']").focus(); } });
  byId("tools").addEventListener("change", () => { for (const name of FIELDS) view[name] = byId(name).value; view.printed = byId("printed").checked; show(); });
  byId("tools").addEventListener("submit", (event) => event.preventDefault());
  byId("metric").addEventListener("change", () => { view.metric = byId("metric").value; show(); });
  window.addEventListener("hashchange", () => { readAddress(); show(); });
  document.documentElement.dataset.ready = "yes";
}

start();
