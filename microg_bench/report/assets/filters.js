"use strict";
// Which items are shown, and in what order.

// Lower case without accents, so that a search finds what a reader would call the same.
function folded(text) {
  return text.toLowerCase().normalize("NFKD").replace(/\p{M}/gu, "");
}

function searchable(item, data) {
  const clip = data.clips[item.clip];
  const failure = item.failure ? [item.failure.reason, item.failure.text || ""] : [];
  return folded([item.id, clip.source, item.question || "", item.reference || "", item.answer || "", ...failure].join("\n"));
}

const OUTCOMES = {
  failed: (item) => Boolean(item.failure),
  unanswered: (item) => item.answer === undefined,
  empty: (item) => item.answer !== undefined && !item.answer.trim(),
  cut: (item) => Boolean(item.stop),
};

function readFilters() {
  const value = (id) => byId(id).value;
  const words = folded(value("search")).split(/\s+/).filter(Boolean);
  return { words, task: value("task"), absent: value("absent"), source: value("source"), outcome: value("outcome"), order: value("order") };
}

function keeps(filters, item, data) {
  if (filters.task && String(item.task) !== filters.task) return false;
  if (filters.absent && (item.question === null || item.absent !== (filters.absent === "absent"))) return false;
  if (filters.source && data.clips[item.clip].source !== filters.source) return false;
  if (filters.outcome && !OUTCOMES[filters.outcome](item)) return false;
  if (!filters.words.length) return true;
  item.folded ??= searchable(item, data);
  return filters.words.every((word) => item.folded.includes(word));
}

// Orders are "" (as in the dataset), "worst:METRIC" and "best:METRIC". An item without a score comes first of the
// worst, since it failed, and last of the best; one of a task without that metric comes last.
function standing(item, sign, metric, data) {
  const k = data.tasks[item.task].metrics.indexOf(metric);
  return k < 0 ? Infinity : sign * (item.scores[k] ?? -Infinity);
}

function chosen(data) {
  const filters = readFilters();
  const items = data.items.filter((item) => keeps(filters, item, data));
  if (!filters.order) return items;
  const [how, metric] = filters.order.split(":");
  const key = new Map(items.map((item) => [item, standing(item, how === "worst" ? 1 : -1, metric, data)]));
  return items.sort((a, b) => key.get(a) === key.get(b) ? 0 : key.get(a) - key.get(b));
}

function fillFilters(data) {
  setOptions(byId("task"), [...(data.tasks.length > 1 ? [["", "all"]] : []), ...data.tasks.map((task, k) => [String(k), task.title])]);
  const sources = [...new Set(data.clips.map((clip) => clip.source))].sort();
  setOptions(byId("source"), [["", `all ${sources.length}`], ...sources.map((source) => [source, source])]);
  const metrics = [...new Set(data.tasks.flatMap((task) => task.metrics))];
  const orders = ["worst", "best"].flatMap((how) => metrics.map((metric) => [`${how}:${metric}`, `${how} ${metric} first`]));
  setOptions(byId("order"), [["", "as in the dataset"], ...orders]);
}
