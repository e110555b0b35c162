"use strict";
// The keyboard of a list with its viewer: j and k move, as arrows do; Enter, on a row, and Escape are the browser's own.
//
// listenToKeys(list, viewer, actions): actions maps further keys to functions, called while the viewer is closed.
{
  function typing(target) {
    return target instanceof HTMLInputElement || target instanceof HTMLSelectElement || target instanceof HTMLTextAreaElement;
  }

  // In the list arrows go up and down; in the opened item those scroll, so that there they go left and right.
  function step(key, onRow, opened) {
    if (key === "j" || (onRow && key === "ArrowDown") || (opened && key === "ArrowRight")) return 1;
    if (key === "k" || (onRow && key === "ArrowUp") || (opened && key === "ArrowLeft")) return -1;
    return 0;
  }

  microg.listenToKeys = (list, viewer, actions) => {
    document.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      if (typing(event.target)) {
        if (event.key === "Escape") event.target.blur();
        return;
      }
      const onRow = list.box.contains(document.activeElement);
      const by = step(event.key, onRow && !viewer.shown, viewer.shown);
      if (by) viewer.move(by);
      else if (!viewer.shown && Object.hasOwn(actions, event.key)) actions[event.key]();
      else return;
      event.preventDefault();
    });
  };
}
