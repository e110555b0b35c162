"use strict";
// Two plots of the metric that is chosen: against the number of frames, and against what a run cost.

const WIDE = 560, HIGH = 300, LEFT = 44, RIGHT = 14, TOP = 10, BOTTOM = 34;

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

// The name of a point stands beside it where no other name is near.
function drawPoint(point, x, y, taken) {
  const parts = [];
  if (point.bounds) parts.push(svg("line", { class: `reach ${point.kind}`, x1: x(point.x), x2: x(point.x), y1: y(point.bounds[0]), y2: y(point.bounds[1]) }));
  parts.push(svg("circle", { class: `dot ${point.kind}`, cx: x(point.x), cy: y(point.y), r: 4 }, svg("title", {}, `${point.name}: ${shown(point.y)}`)));
  const left = x(point.x) > WIDE * 0.7, place = { x: x(point.x) + (left ? -8 : 8), y: y(point.y) + 4 };
  if (taken.every((other) => other.point === point || Math.abs(other.y - place.y) > 12 || Math.abs(other.x - place.x) > 120)) {
    taken.push({ ...place, point });
    const short = point.name.length > 24 ? `${point.name.slice(0, 23)}…` : point.name;
    parts.push(svg("text", { class: "name", x: place.x, y: place.y, "text-anchor": left ? "end" : "start" }, textNodes(short).textContent));
  }
  return parts;
}

// Floors that lie too close for two names share one.
function floorNames(floors, y) {
  const groups = [];
  for (const floor of [...floors].sort((a, b) => a.y - b.y)) {
    const last = groups[groups.length - 1];
    if (last && y(last.y) - y(floor.y) < 12) last.names.push(floor.name);
    else groups.push({ y: floor.y, names: [floor.name] });
  }
  return groups.map((group) => svg("text", { x: WIDE - RIGHT, y: y(group.y) - 4, "text-anchor": "end" }, textNodes(group.names.join(", ")).textContent));
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
  const taken = found.map((point) => ({ x: x(point.x), y: y(point.y), point }));
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
