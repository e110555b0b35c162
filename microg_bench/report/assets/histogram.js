"use strict";
// How many items score how much: bars of equal width from the lowest to the highest.
function histogram(values, bins = 24) {
  const low = values.reduce((a, b) => Math.min(a, b), 0), high = values.reduce((a, b) => Math.max(a, b), 100);
  const counts = new Array(bins).fill(0);
  for (const value of values) counts[Math.min(bins - 1, Math.floor((bins * (value - low)) / (high - low)))]++;
  const most = Math.max(...counts);
  const bars = counts.map((count, k) => {
    const height = count && Math.max(1, (36 * count) / most);
    return svg("rect", { x: k * 5, width: 4.4, y: 36 - height, height }, svg("title", {}, `${count} items`));
  });
  const words = `Histogram of ${values.length} items, from ${low.toFixed(0)} to ${high.toFixed(0)}`;
  return el("div", { class: "histogram" },
    svg("svg", { viewBox: "0 0 120 36", preserveAspectRatio: "none", role: "img", "aria-label": words }, ...bars),
    el("span", {}, low.toFixed(0)), el("span", {}, "items"), el("span", {}, high.toFixed(0)));
}

function drawHistograms(data) {
  data.tasks.forEach((task, place) => task.metrics.forEach((metric, k) => {
    const values = data.items.filter((item) => item.task === place && item.scores[k] !== null).map((item) => item.scores[k]);
    const tile = [...byId(`tiles-${place}`).children].find((one) => one.dataset.metric === metric);
    if (values.length) tile.append(histogram(values));
  }));
}
