"use strict";
// The frames of a clip that a model was shown.
//
// A clip is {id, frames: [[index, seconds], ...], folder, why, video, other}: the frames in the order in which they were shown,
// their pictures as `folder`/0.jpg and so on; without `folder` there are no pictures, and `why` may say the reason.
// `video` is the address of its file, relative to the page, where there is one; `other` is the id of the clip whose
// frames were shown in place of its own. `pictures` is the folder of all pictures,
// relative to the page. player(clip, pictures) -> the clip, to be played, or null.
// strip(clip, pictures) -> some of the frames; allFrames(clip, pictures) -> all of them, with captions. Both give a
// note where there are no pictures, null where there is nothing to say.
{
  const { el, textNodes, textBox, scrolled } = microg.dom;
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
    return el("div", {}, replaced(clip), scrolled(`Frames of ${clip.other ?? clip.id}`, "strip", ...shown), few);
  }

  function allFrames(clip, pictures) {
    if (!clip.folder) return note(clip);
    const shown = clip.frames.map((frame) => el("figure", {}, picture(clip, frame, pictures), el("figcaption", {}, words(frame))));
    return el("div", {}, replaced(clip), el("div", { class: "strip" }, ...shown));
  }

  const replaced = (clip) => (clip.other ? el("p", { class: "note" }, "frames of ", textBox(clip.other, "bdi"), ", shown in place of its own") : null);

  function note(clip) {
    if (!clip.frames.length && !clip.why) return null;
    const indices = clip.frames.length ? `frames ${clip.frames.map(([index]) => index).join(", ")}` : "";
    const reason = clip.why ? `no pictures: ${clip.why}` : "";
    return el("div", {}, replaced(clip), el("p", { class: "note" }, textNodes([indices, reason].filter(Boolean).join(" · "))));
  }

  function player(clip, pictures) {
    if (!clip.video) return null;
    const poster = clip.folder ? { poster: `${pictures}/${clip.folder}/0.jpg` } : {};
    const video = el("video", { src: clip.video, ...poster, controls: "", loop: "", preload: "none", "aria-label": "The clip" });
    video.muted = true;
    video.addEventListener("error", () => video.replaceWith(el("p", { class: "note" },
      "This browser cannot play ", el("a", { href: clip.video }, "the file of the clip"), ".")));
    return video;
  }

  microg.frames = { strip, allFrames, player };
}
