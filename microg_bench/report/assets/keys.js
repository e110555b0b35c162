"use strict";
// The keyboard: / searches, j and k (or arrows, on a row) move, Enter opens, Escape closes or leaves the search.

function typing(target) {
  return target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
}

function steps(event) {
  const onRow = document.activeElement.closest(".item, dialog");
  if (event.key === "j" || (event.key === "ArrowDown" && onRow)) return 1;
  if (event.key === "k" || (event.key === "ArrowUp" && onRow)) return -1;
  return 0;
}

function listenToKeys(list) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (typing(event.target)) {
      if (event.key === "Escape" && event.target.id === "search") event.target.blur();
      return;
    }
    const step = steps(event);
    if (step) list.move(step);
    else if (event.key === "/" && !byId("opened").open) byId("search").focus();
    else if (event.key === "Enter" && document.activeElement.closest(".item")) list.open();
    else return;
    event.preventDefault();
  });
}
