"use strict";
// Where two texts differ, word by word: the longest common run of words is left plain, the rest is marked.
//
// differences(reference, answer) -> [nodes of the reference, nodes of the answer]; words that the other text lacks are
// of class "lost" in the reference and "extra" in the answer.
{
  const { el, textNodes } = microg.dom;
  const MAX_CELLS = 1_000_000; // above this, words are compared without their order

  function wordsOf(text) {
    return text.match(/\s*\S+(?:\s+$)?/gu) || [];
  }

  // Case and punctuation do not make a word another one.
  function wordKey(word) {
    const bare = word.toLowerCase().replace(/[^\p{L}\p{N}]+/gu, "");
    return bare || word.trim();
  }

  function commonWords(first, second) {
    const a = first.map(wordKey), b = second.map(wordKey);
    if (a.length * b.length > MAX_CELLS) {
      const ours = new Set(a), theirs = new Set(b);
      return [a.map((word) => theirs.has(word)), b.map((word) => ours.has(word))];
    }
    const width = b.length + 1;
    const longest = new Uint16Array((a.length + 1) * width);
    for (let i = a.length - 1; i >= 0; i--) {
      for (let j = b.length - 1; j >= 0; j--) {
        const here = i * width + j;
        longest[here] = a[i] === b[j] ? longest[here + width + 1] + 1 : Math.max(longest[here + width], longest[here + 1]);
      }
    }
    const inA = a.map(() => false), inB = b.map(() => false);
    for (let i = 0, j = 0; i < a.length && j < b.length; ) {
      if (a[i] === b[j]) { inA[i++] = true; inB[j++] = true; }
      else if (longest[(i + 1) * width + j] >= longest[i * width + j + 1]) i++;
      else j++;
    }
    return [inA, inB];
  }

  // Words in runs, those that are not common as <del> or <ins>; the space before a run stays outside the mark.
  function marked(words, common, name, className) {
    const fragment = document.createDocumentFragment();
    for (let i = 0; i < words.length; ) {
      let j = i;
      while (j < words.length && common[j] === common[i]) j++;
      const run = words.slice(i, j).join("");
      const space = run.match(/^\s*/)[0];
      if (common[i]) fragment.append(textNodes(run));
      else fragment.append(space, el(name, { class: className }, textNodes(run.slice(space.length))));
      i = j;
    }
    return fragment;
  }

  function differences(reference, answer) {
    const first = wordsOf(reference), second = wordsOf(answer);
    const [inReference, inAnswer] = commonWords(first, second);
    return [marked(first, inReference, "span", "lost"), marked(second, inAnswer, "span", "extra")];
  }

  microg.differences = differences;
}
