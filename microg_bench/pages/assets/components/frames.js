"use strict";
// The frames of a clip that a model was shown.
//
// A clip is {id, frames: [[index, seconds], ...], folder, why}: the frames in the order in which they were shown, their
// pictures as `folder`/0.jpg and so on; without `folder` there are no pictures, and `why` may say the reason. `pictures` is the folder of all pictures, relative to the page.
// strip(clip, pictures) -> some of the frames; allFrames(clip, pictures) -> all of them, with captions. Both give a
// note where there are no pictures, null where there is nothing to say.
{
  const { el, textNodes, scrolled } = microg.dom;
  const MAX_STRIP = 16;

  const words = ([index, seconds]) => `frame ${index}, ${seconds.toFixed(2)} s`;

  function picture(clip, frame, pictures) {
    return el("img", {
      src: `${pictures}/${clip.folder}/${clip.frames.indexOf(frame)}.jpg`,
      alt: words(frame), title: words(frame), loading: "lazy", decoding: "async",
    });
  }

  // At most `limit` of the frames, evenly chosen.
  function some(frames, limit) {
    if (frames.length <= limit) return frames;
    return Array.from({ length: limit }, (_, k) => frames[Math.floor(((k + 0.5) * frames.length) / limit)]);
  }

  function strip(clip, pictures) {
    if (!clip.folder) return note(clip);
    const chosen = some(clip.frames, MAX_STRIP);
    const few = chosen.length < clip.frames.length ? el("p", { class: "note" }, `${chosen.length} of ${clip.frames.length} frames`) : null;
    const shown = chosen.map((frame) => el("figure", {}, picture(clip, frame, pictures)));
    return el("div", {}, scrolled(`Frames of ${clip.id}`, "strip", ...shown), few);
  }

  function allFrames(clip, pictures) {
    if (!clip.folder) return note(clip);
    return el("div", { class: "strip" }, ...clip.frames.map((frame) => el("figure", {}, picture(clip, frame, pictures), el("figcaption", {}, words(frame)))));
  }

  function note(clip) {
    if (!clip.frames.length && !clip.why) return null;
    const indices = clip.frames.length ? `frames ${clip.frames.map(([index]) => index).join(", ")}` : "";
    const reason = clip.why ? `no pictures: ${clip.why}` : "";
    return el("p", { class: "note" }, textNodes([indices, reason].filter(Boolean).join(" · ")));
  }

  microg.frames = { strip, allFrames };
}
