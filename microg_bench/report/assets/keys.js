"use strict";
// The keyboard: / searches, j and k move, as arrows do; Enter, on a row, and Escape are the browser's own.

function typing(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement;
}

// In the list arrows go up and down; in the opened item those scroll, so that there they go left and right.
function steps(key) {
  const onRow = document.activeElement.closest(".item"), opened = byId("opened").open;
  if (key === "j" || (onRow && key === "ArrowDown") || (opened && key === "ArrowRight")) return 1;
  if (key === "k" || (onRow && key === "ArrowUp") || (opened && key === "ArrowLeft")) return -1;
  return 0;
}

function listenToKeys(list) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const step = steps(event.key);
    if (step) list.move(step);
    else if (event.key === "/" && !byId("opened").open) byId("search").focus();
    else return;
    event.preventDefault();
  });
}
