"use strict";
// A picture with boxes in it, each with its name.
//
// scene(picture, [width, height], boxes, words) -> element; a box is {name, corners: [x1, y1, x2, y2]}, as shares of the
// picture's width and height. `words` describe the picture.
{
  const { el, svg } = microg.dom;

  function outline({ name, corners }, [wide, high]) {
    const [x1, y1, x2, y2] = corners.map((share, k) => share * (k % 2 ? high : wide));
    const at = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    const side = wide / 24, left = Math.min(x1, wide - side), top = Math.max(0, y1 - side); // of the plate, above the box
    const label = svg("text", { x: left + side / 2, y: top + side * 0.8 }, name);
    label.style.fontSize = `${side * 0.8}px`;
    return [svg("rect", { class: "under", ...at }), svg("rect", { class: "over", ...at }), svg("rect", { class: "plate", x: left, y: top, width: side, height: side }), label];
  }

  microg.scene = (picture, size, boxes, words) => el("div", { class: "scene" },
    el("img", { src: picture, alt: words, width: size[0], height: size[1], loading: "lazy", decoding: "async" }),
    svg("svg", { viewBox: `0 0 ${size.join(" ")}`, "aria-hidden": "true" }, ...boxes.flatMap((box) => outline(box, size))));
}
