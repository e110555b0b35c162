"use strict";
// Charts, drawn as SVG.
//
// histogram(groups) -> how many items score how much, by group: [{name, values}].
// meter(value, top) -> a bar; scoreBar(value, bounds, top) -> a bar
// with its interval, where there is one.
// scatter({points, lines, label, described, joined, top, whole}) -> points [{x, y, bounds, name, kind}] with their intervals, and
// lines [{name, y}] across the plot; `label` stands below the axis of x, `described` is read out by screen readers.
// forest({rows, label, described}) -> differences, one below the other: rows [{name, value, bounds, strong}] with their
// intervals around a line at 0; those that are `strong` are filled.
// legend(kinds, lines) -> what the marks of these kinds of points mean, and, where there are `lines`, what they are.
// Where `joined`, a line joins the points in their order, and their names are tooltips only. `top` ends an axis of y that
// begins at 0; without it the values give the range. Where `whole`, x has ticks at whole numbers only.
{
  const { el, svg, textNodes, number } = microg.dom;

  const BINS = 24;

  // Bars of equal width from the lowest to the highest; groups stand one on the other.
  function histogram(groups) {
    const values = groups.flatMap((group) => group.values);
    const low = values.reduce((a, b) => Math.min(a, b), 0), high = values.reduce((a, b) => Math.max(a, b), 100);
    const counts = groups.map((group) => counted(group.values, low, high));
    const most = Math.max(...counts[0].map((_, k) => counts.reduce((sum, own) => sum + own[k], 0)));
    const bars = counts[0].flatMap((_, k) => stack(groups, counts.map((own) => own[k]), k, most));
    const words = `Histogram of ${values.length} items, from ${number(low, 0)} to ${number(high, 0)}`;
    return el("div", { class: "histogram" },
      svg("svg", { viewBox: `0 0 ${5 * BINS} 36`, preserveAspectRatio: "none", role: "img", "aria-label": words }, ...bars),
      el("span", {}, number(low, 0)), el("span", {}, "items"), el("span", {}, number(high, 0)),
      groups.length > 1 ? key(groups) : null);
  }

  function counted(values, low, high) {
    const counts = new Array(BINS).fill(0);
    for (const value of values) counts[Math.min(BINS - 1, Math.floor((BINS * (value - low)) / (high - low)))]++;
    return counts;
  }

  function stack(groups, counts, k, most) {
    let top = 36;
    return counts.flatMap((count, group) => {
      if (!count) return [];
      const height = Math.max(1, (36 * count) / most);
      top -= height;
      return [svg("rect", { class: `group${group}`, x: k * 5, width: 4.4, y: top, height }, svg("title", {}, `${count} items: ${groups[group].name}`))];
    });
  }

  function key(groups) {
    const lines = groups.flatMap(({ name, values }, k) => values.length ? [el("li", {}, el("i", { class: `group${k}` }), `${name}: ${values.length}`)] : []);
    return el("ul", { class: "key" }, ...lines);
  }

  function meter(value, top) {
    const bar = el("i");
    bar.style.width = `${Math.max(0, Math.min(100, (100 * value) / top))}%`;
    return el("span", { class: "meter" }, bar);
  }

  function scoreBar(value, bounds, top) {
    const x = (one) => (100 * Math.max(0, one)) / top;
    const parts = [svg("rect", { class: "bar", x: 0, y: 2, width: x(value), height: 6 })];
    if (bounds) {
      const [low, high] = bounds.map(x);
      parts.push(svg("path", { class: "whisker", d: `M${low} 5H${high}M${low} 2V8M${high} 2V8` }));
    }
    return svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" }, ...parts);
  }

  // gapBar(value, reach) -> a bar from the middle: to the right where the value is above 0. `reach` fills one half.
  function gapBar(value, reach) {
    const width = (50 * Math.min(Math.abs(value), reach)) / reach;
    return svg("svg", { viewBox: "0 0 100 10", preserveAspectRatio: "none", "aria-hidden": "true" },
      svg("rect", { class: value < 0 ? "bar less" : "bar more", x: value < 0 ? 50 - width : 50, y: 2, width, height: 6 }),
      svg("path", { class: "whisker", d: "M50 0V10" }));
  }

  const WIDE = 560, LEAST = 320, HIGH = 300, LEFT = 44, NAMES_OF_LINES = 110, TOP = 10, BOTTOM = 34, EDGE = 12;
  const LETTER = 6.2; // how wide one is drawn

  // A chart is drawn as wide as it is shown, so that its text stays legible, and again where that changes.
  const fitted = new WeakMap(); // what draws a chart anew, by its element
  const widths = new ResizeObserver((seen) => {
    for (const { target, contentRect } of seen) {
      if (!target.isConnected) widths.unobserve(target);
      else if (contentRect.width) fitted.get(target)(Math.max(LEAST, contentRect.width));
    }
  });

  // fittedChart(high, described, draw): draw(wide) -> what is in a chart of that width and of the height `high`.
  function fittedChart(high, described, draw) {
    const chart = svg("svg", { role: "img", "aria-label": described, height: high });
    const fit = (wide) => {
      chart.setAttribute("viewBox", `0 0 ${wide} ${high}`);
      chart.replaceChildren(...draw(wide).filter((one) => one !== null));
    };
    fitted.set(chart, fit);
    widths.observe(chart);
    fit(WIDE);
    return chart;
  }

  function step(span, count) {
    const rough = span / count, power = 10 ** Math.floor(Math.log10(rough));
    return [1, 2, 5, 10].map((one) => one * power).find((one) => one >= rough);
  }

  function ticks(low, high, least = 0, count = 5) {
    if (high <= low) return [low];
    const by = Math.max(least, step(high - low, count)), found = [];
    for (let one = Math.ceil(low / by) * by; one <= high + by / 1e6; one += by) found.push(Number(one.toPrecision(12)));
    return found;
  }

  function axes(x, y, xs, ys, label, right) {
    const bottom = HIGH - BOTTOM;
    return [
      ...ys.map((value) => svg("line", { class: "grid", x1: LEFT, x2: right, y1: y(value), y2: y(value) })),
      ...ys.map((value) => svg("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, String(value))),
      ...xs.map((value) => svg("text", { x: x(value), y: bottom + 16, "text-anchor": "middle" }, String(value))),
      svg("line", { class: "axis", x1: LEFT, x2: right, y1: bottom, y2: bottom }),
      svg("text", { x: (LEFT + right) / 2, y: HIGH - 3, "text-anchor": "middle" }, label),
    ];
  }

  // Text as drawing takes it: short, with characters that would turn it shown by their number.
  function short(name, most) {
    const text = textNodes(name).textContent;
    return text.length > most ? `${text.slice(0, most - 1)}…` : text;
  }

  // Where the name of a point can stand: right of it, else left; null where it would lie on another name or point.
  function freeBox(text, x, y, right, taken) {
    const width = LETTER * text.length;
    const apart = (box, other) => box.right < other.left || box.left > other.right || box.bottom < other.top || box.top > other.bottom;
    return [x + 8, x - 8 - width]
      .map((left) => ({ left, right: left + width, top: y - 5, bottom: y + 5 }))
      .find((box) => box.left > LEFT && box.right < right && taken.every((other) => apart(box, other))) ?? null;
  }

  // Published points are diamonds, all others are circles.
  function pointMark(kind, x, y, ...inside) {
    if (kind === "published") return svg("path", { class: "dot published", d: `M${x - 5} ${y}L${x} ${y - 5}L${x + 5} ${y}L${x} ${y + 5}Z` }, ...inside);
    return svg("circle", { class: `dot ${kind}`, cx: x, cy: y, r: 4 }, ...inside);
  }

  const KINDS = { open: "open weights", closed: "closed weights", published: "published in the paper" };

  function legend(kinds, lines) {
    const entry = (mark, words) => el("span", {}, svg("svg", { viewBox: "0 0 12 12", "aria-hidden": "true" }, mark), words);
    const marks = Object.keys(KINDS).filter((kind) => kinds.includes(kind)).map((kind) => entry(pointMark(kind, 6, 6), KINDS[kind]));
    return el("p", { class: "key-of-marks" }, ...marks, lines ? entry(svg("line", { class: "across", x1: 0, x2: 12, y1: 6, y2: 6 }), "baseline") : null);
  }

  function drawPoint(point, x, y) {
    const reach = ([low, high]) => svg("line", { class: `reach ${point.kind}`, x1: x(point.x), x2: x(point.x), y1: y(low), y2: y(high) });
    return [point.bounds ? reach(point.bounds) : null, pointMark(point.kind, x(point.x), y(point.y), svg("title", {}, `${point.name}: ${number(point.y)}`))];
  }

  // The names of points for which there is room; where two want the same room, the first has it.
  function drawNames(points, x, y, right) {
    const taken = points.map((point) => ({ left: x(point.x) - 5, right: x(point.x) + 5, top: y(point.y) - 5, bottom: y(point.y) + 5 }));
    return points.map((point) => {
      const text = short(point.name, 24), box = freeBox(text, x(point.x), y(point.y), right, taken);
      if (!box) return null;
      taken.push(box);
      const place = box.right < x(point.x) ? { x: box.right, "text-anchor": "end" } : { x: box.left };
      return svg("text", { class: "name", y: y(point.y) + 4, ...place }, text);
    });
  }

  // The names stand beside their lines, moved apart where lines lie close.
  function drawLines(lines, y, right) {
    let last = Infinity;
    const names = [...lines].sort((a, b) => a.y - b.y).map((line) => {
      last = Math.min(y(line.y) + 4, last - 12);
      return svg("text", { x: right + 5, y: last }, short(line.name, Math.floor((NAMES_OF_LINES - 5) / LETTER)), svg("title", {}, line.name));
    });
    return [...lines.map((line) => svg("line", { class: "across", x1: LEFT, x2: right, y1: y(line.y), y2: y(line.y) })), ...names];
  }

  // The range of y begins at 0, unless all values are so far from it that their differences would not be seen.
  function range(points, lines) {
    const heights = [...points.flatMap((point) => [point.y, ...(point.bounds || [])]), ...lines.map((line) => line.y)];
    const most = Math.max(...heights), least = Math.min(...heights);
    return [least > most / 2 ? least - (most - least) / 4 : Math.min(0, least), most * 1.05 || 1];
  }

  function joint(points, x, y) {
    return svg("polyline", { class: "joint", points: points.map((point) => `${x(point.x)},${y(point.y)}`).join(" ") });
  }

  function scatter({ points, lines, label, described, joined = false, top = null, whole = false }) {
    const [low, high] = top === null ? range(points, lines) : [0, top];
    const far = Math.max(...points.map((point) => point.x)) * 1.08 || 1;
    const y = (value) => HIGH - BOTTOM - ((HIGH - BOTTOM - TOP) * (value - low)) / (high - low);
    return fittedChart(HIGH, described, (wide) => {
      const right = wide - (lines.length ? NAMES_OF_LINES : EDGE);
      const x = (value) => LEFT + ((right - LEFT) * value) / far;
      return [
        ...axes(x, y, ticks(0, far, whole ? 1 : 0), ticks(low, high), label, right),
        ...drawLines(lines, y, right),
        joined ? joint(points, x, y) : null,
        ...points.flatMap((point) => drawPoint(point, x, y)),
        ...(joined ? [] : drawNames(points, x, y, right)),
      ];
    });
  }

  const ROW = 22, NAMES = 96;

  function forest({ rows, label, described }) {
    const reach = Math.max(...rows.flatMap((row) => [row.value, ...(row.bounds || [])]).map(Math.abs)) * 1.05 || 1;
    const bottom = TOP + ROW * rows.length;
    const marks = ticks(-reach, reach).filter((value) => Math.abs(value) <= reach);
    return fittedChart(bottom + BOTTOM, described, (wide) => {
      const middle = (NAMES + wide) / 2;
      const x = (value) => middle + ((wide - NAMES - 2 * EDGE) / 2) * (value / reach);
      return [
        ...marks.map((value) => svg("line", { class: value ? "grid" : "axis", x1: x(value), x2: x(value), y1: TOP, y2: bottom })),
        ...marks.map((value) => svg("text", { x: x(value), y: bottom + 14, "text-anchor": "middle" }, String(value))),
        svg("text", { x: middle, y: bottom + BOTTOM - 3, "text-anchor": "middle" }, label),
        ...rows.flatMap((row, place) => drawDifference(row, x, TOP + ROW * (place + 0.5))),
      ];
    });
  }

  function drawDifference({ name, value, bounds, strong }, x, y) {
    return [
      svg("text", { class: "name", x: NAMES - 8, y: y + 4, "text-anchor": "end" }, short(name, 15)),
      bounds ? svg("line", { class: "reach", x1: x(bounds[0]), x2: x(bounds[1]), y1: y, y2: y }) : null,
      svg("circle", { class: strong ? "dot" : "dot hollow", cx: x(value), cy: y, r: 4 }, svg("title", {}, `${name}: ${number(value)}`)),
    ];
  }

  microg.charts = { histogram, meter, scoreBar, gapBar, scatter, legend, forest };
}
