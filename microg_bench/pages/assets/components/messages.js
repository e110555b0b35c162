"use strict";
// The messages that were sent for an item.
//
// messages(prompt, question) -> an element; a prompt is [[role, parts], ...], a part a list of texts between which the
// question stands, the place of a frame among those shown (from 0), or what was sent of the clip, in words.
{
  const { el, textBox } = microg.dom;

  function part(one, question) {
    if (Array.isArray(one)) return textBox(one.join(question ?? ""));
    return el("span", { class: "media" }, typeof one === "string" ? one : `frame ${one + 1} of those shown`);
  }

  microg.messages = (prompt, question) => el("ol", { class: "messages" }, ...prompt.map(([role, parts]) =>
    el("li", {}, el("span", { class: "label" }, role), ...parts.map((one) => part(one, question)))));
}
