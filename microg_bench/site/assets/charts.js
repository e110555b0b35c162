"use strict";
// Two plots of the metric that is chosen: against the number of frames, and against what a run cost.

const WIDE = 560, HIGH = 300, LEFT = 44, RIGHT = 120, TOP = 10, BOTTOM = 34;

function niceStep(span, count) {
  const rough = span / count, power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
}

function ticks(low, high, count = 5) {
  if (high <= low) return [low];
  const step = niceStep(high - low, count), found = [];
  for (let one = Math.ceil(low / step) * step; one <= high + step / 1e6; one += step) found.push(Number(one.toPrecision(12)));
  return found;
}

// Models of a board that have both numbers; what the paper prints is not among them.
function points(board, view, place, of) {
  return visible(board, view).filter((group) => group.kind === "model").flatMap((group) => group.rows
    .filter((row) => typeof of(row) === "number" && row.values[place] !== null)
    .map((row) => ({ x: of(row), y: row.values[place], bounds: row.bounds[place], name: row.labels[0], kind: row.access })));
}

function floorLines(board, place) {
  const floors = board.groups.filter((group) => group.kind === "floor").flatMap((group) => group.rows);
  return floors.filter((row) => row.values[place] !== null).map((row) => ({ name: row.labels[0], y: row.values[place] }));
}

function axes(x, y, xs, ys, label) {
  const parts = ys.map((value) => [svg("line", { class: "grid", x1: LEFT, x2: WIDE - RIGHT, y1: y(value), y2: y(value) }), svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, String(value))]);
  parts.push(...xs.map((value) => [svg("text", { x: x(value), y: HIGH - BOTTOM + 16, "text-anchor": "middle" }, String(value))]));
  parts.push([svg("line", { class: "axis", x1: LEFT, x2: WIDE - RIGHT, y1: HIGH - BOTTOM, y2: HIGH - BOTTOM }), svg("text", { x: (LEFT + WIDE - RIGHT) / 2, y: HIGH - 3, "text-anchor": "middle" }, label)]);
  return parts.flat();
}

// Text as drawing takes it: short, with characters that would turn it shown by their number.
function short(name, most) {
  const text = textNodes(name).textContent;
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

// Where the name of a point can stand: right of it, else left; nowhere where it would lie on another name or point.
function roomFor(text, x, y, taken) {
  const width = 6.2 * text.length;
  const apart = (box, other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom;
  return [x + 8, x - 8 - width]
    .map((left) => ({ left, right: left + width, top: y - 5, bottom: y + 5 }))
    .find((box) => box.left > LEFT && box.right < WIDE - RIGHT && taken.every((other) => apart(box, other)));
}

function drawPoint(point, x, y, taken) {
  const parts = [];
  if (point.bounds) parts.push(svg("line", { class: `reach ${point.kind}`, x1: x(point.x), x2: x(point.x), y1: y(point.bounds[0]), y2: y(point.bounds[1]) }));
  parts.push(svg("circle", { class: `dot ${point.kind}`, cx: x(point.x), cy: y(point.y), r: 4 }, svg("title", {}, `${point.name}: ${shown(point.y)}`)));
  const text = short(point.name, 24), room = roomFor(text, x(point.x), y(point.y), taken);
  if (!room) return parts;
  taken.push(room);
  const place = room.right < x(point.x) ? { x: room.right, "text-anchor": "end" } : { x: room.left };
  return [...parts, svg("text", { class: "name", y: y(point.y) + 4, ...place }, text)];
}

// The names of floors stand beside their lines, moved apart where lines lie close.
function floorNames(floors, y) {
  let last = Infinity;
  return [...floors].sort((a, b) => a.y - b.y).map((floor) => {
    last = Math.min(y(floor.y) + 4, last - 12);
    return svg("text", { x: WIDE - RIGHT + 5, y: last }, short(floor.name, 20));
  });
}

function chart(found, floors, label, described) {
  const heights = [...found.flatMap((point) => [point.y, ...(point.bounds || [])]), ...floors.map((floor) => floor.y)];
  const most = Math.max(...heights), least = Math.min(...heights);
  const high = most * 1.05 || 1, low = least > most / 2 ? least - (most - least) / 4 : Math.min(0, least); // far from nought, differences need the room
  const far = Math.max(...found.map((point) => point.x)) * 1.08 || 1;
  const x = (value) => LEFT + ((WIDE - LEFT - RIGHT) * value) / far;
  const y = (value) => HIGH - BOTTOM - ((HIGH - BOTTOM - TOP) * (value - low)) / (high - low);
  const lines = floors.map((floor) => svg("line", { class: "floor-line", x1: LEFT, x2: WIDE - RIGHT, y1: y(floor.y), y2: y(floor.y) }));
  lines.push(...floorNames(floors, y));
  const taken = found.map((point) => ({ left: x(point.x) - 5, right: x(point.x) + 5, top: y(point.y) - 5, bottom: y(point.y) + 5 }));
  const dots = found.flatMap((point) => drawPoint(point, x, y, taken));
  return svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, role: "img", "aria-label": described }, ...axes(x, y, ticks(0, far), ticks(low, high), label), ...lines, ...dots);
}

function drawCharts(board, view) {
  const place = board.columns.indexOf(view.metric), floors = floorLines(board, place);
  const draw = (id, of, label, none) => {
    const found = points(board, view, place, of);
    const described = `${view.metric} against ${label}: ${found.length} points`;
    byId(id).replaceChildren(found.length ? chart(found, floors, label, described) : el("p", { class: "note" }, none));
  };
  draw("by-frames", (row) => row.frames, "frames", "No model of this board, as filtered, was shown a number of frames.");
  draw("by-cost", (row) => row.dollars, "US dollars", "No model of this board, as filtered, has a known price: only models behind an API have one.");
}
