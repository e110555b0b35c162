"use strict";
// Explanations of headings and figures: shown on hover, on keyboard focus and on touch, and read out by screen readers.
//
// An element with a text in data-help is explained; it must take the focus, as a button does. Escape hides the text.
// explain(element, help) -> the element, explained. explained(name, help) -> a button for a heading or a cell of a table;
// components/help.html has the same for templates.
{
  const { el, textNodes } = microg.dom;

  const tip = el("div", { id: "help", role: "tooltip", popover: "manual" });
  let shown = null; // the element whose explanation is shown

  function explain(element, help) {
    if (help) element.dataset.help = help;
    return element;
  }

  function explained(name, help) {
    return explain(el("button", { type: "button", class: "explained" }, textNodes(name)), help);
  }

  // Below the element, or above it where there is no room; never outside the window.
  function place() {
    const box = shown.getBoundingClientRect(), own = tip.getBoundingClientRect();
    const right = document.documentElement.clientWidth - own.width - 4;
    const fits = box.bottom + own.height <= innerHeight;
    tip.style.left = `${Math.max(4, Math.min(box.left, right))}px`;
    tip.style.top = `${fits ? box.bottom : Math.max(0, box.top - own.height)}px`;
  }

  function show(element) {
    if (shown === element) return;
    hide();
    shown = element;
    shown.setAttribute("aria-describedby", tip.id);
    tip.replaceChildren(textNodes(shown.dataset.help));
    tip.showPopover(); // above an open dialog, too
    place();
  }

  function hide() {
    if (!shown) return;
    shown.removeAttribute("aria-describedby");
    tip.hidePopover();
    shown = null;
  }

  const explainedAt = (event) => event.target instanceof Element ? event.target.closest("[data-help]") : null;
  const focused = () => shown === document.activeElement && shown.matches(":focus-visible");

  document.addEventListener("pointerover", (event) => {
    if (event.pointerType === "touch") return;
    const element = explainedAt(event);
    if (element) show(element);
    else if (shown && !tip.contains(event.target) && !focused()) hide();
  });
  document.addEventListener("focusin", (event) => {
    const element = explainedAt(event);
    if (element?.matches(":focus-visible")) show(element);
    else hide();
  });
  document.addEventListener("focusout", hide);
  // A finger has no hover: it shows the text where it taps, and hides it where it taps elsewhere.
  document.addEventListener("click", (event) => {
    if (event.pointerType !== "touch" && !event.target.closest?.(".explained")) return;
    const element = explainedAt(event);
    if (element) show(element);
    else hide();
  }, true);
  document.addEventListener("pointerdown", (event) => {
    if (event.pointerType === "touch" && !explainedAt(event)) hide();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || !shown) return;
    event.preventDefault(); // an open dialog stays
    hide();
  }, true);
  addEventListener("scroll", () => {
    if (shown?.isConnected) place();
    else hide();
  }, { capture: true, passive: true });
  addEventListener("beforeprint", hide);

  document.body.append(tip);
  microg.help = { explain, explained };
}
