"use strict";
// The page of a training: {curves: [{epoch, loss, rate, seconds, batch, failed, mAP, …}], scores: [names]}.
{
  const { byId, readData, el, number, scrolled } = microg.dom;
  const { curves, scores } = readData();
  const evaluated = curves.filter((curve) => curve.mAP !== undefined);
  const best = evaluated.reduce((one, other) => (one && one.mAP >= other.mAP ? one : other), null);

  function chart(name, unit, digits, top = null) {
    const points = curves.filter((curve) => curve[name] !== undefined)
      .map((curve) => ({ x: curve.epoch, y: curve[name], bounds: null, name: `epoch ${curve.epoch}`, kind: "open" }));
    if (!points.length) return null;
    const described = `${name} by epoch, ${number(points[0].y, digits)} at first, ${number(points[points.length - 1].y, digits)} at last`;
    const drawn = microg.charts.scatter({ points, lines: [], label: "epoch", described, joined: true, top, whole: true });
    return el("figure", {}, el("figcaption", {}, `${name}${unit}`), scrolled(`Chart of ${name}`, "", drawn));
  }

  const charts = [chart("loss", "", 4), ...scores.map((name) => chart(name, " of the validation split, %", 2, 100)), chart("rate", "", 6)];
  byId("charts").append(...charts.filter((one) => one !== null));
  const epochs = curves.length === 1 ? "1 epoch" : `${curves.length} epochs`;
  byId("best").textContent = best
    ? `${epochs}; the best is epoch ${best.epoch}, with a validation mAP of ${number(best.mAP)}%.`
    : `${epochs}; none has been evaluated yet.`;

  const names = ["epoch", "loss", "rate", "seconds", "batch", "failed", ...scores, "val_failed"];
  const digits = { epoch: 0, loss: 4, rate: 6, seconds: 1, batch: 0, failed: 0, val_failed: 0 };
  const cell = (curve, name) => el("td", { class: "number" }, curve[name] === undefined ? "" : number(curve[name], digits[name] ?? 2));
  byId("epochs").append(
    el("thead", {}, el("tr", {}, ...names.map((name) => el("th", { scope: "col", class: "number" }, name)))),
    el("tbody", {}, ...curves.map((curve) => el("tr", { class: curve === best ? "best" : "" }, ...names.map((name) => cell(curve, name))))),
  );
}
