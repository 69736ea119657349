// One verdict per word; see upocr/decisions.py. Classes: 0 background, 1 genuine, 2 tampered.

import { grouped, runsWhere } from "../pixels.js";
import { UNIT, depths, fillNearest } from "./distance.js";

const GENUINE = 1;
const TAMPERED = 2;
const LEAST_PART = 0.25; // smallest part with a verdict of its own, in squared line heights

/**
 * Classes per word, and the probability of tampering of each word, (H x W) both.
 * share: share of `tampered` in the evidence for text, 255 is all; verdict: slope, offset,
 * threshold.
 */
export function judgeWords(classes, share, width, height, verdict) {
  const words = wordsOf(classes, width, height);
  const shares = meansOf(words, share);
  const judged = new Uint8Array(classes.length);
  const scores = new Uint8ClampedArray(classes.length);
  for (let i = 0; i < words.length; i++) {
    if (!words[i]) continue;
    const probability = probabilityOf(shares[words[i]] / 255, verdict);
    judged[i] = probability >= verdict.threshold ? TAMPERED : GENUINE;
    scores[i] = 255 * probability;
  }
  return { classes: judged, scores };
}

function probabilityOf(share, { slope, offset }) {
  const inside = Math.min(1 - 1e-4, Math.max(1e-4, share));
  return 1 / (1 + Math.exp(-slope * Math.log(inside / (1 - inside)) - offset));
}

/** Mean of the values of every word. */
function meansOf(words, values) {
  const count = words.reduce((most, word) => Math.max(most, word), 0) + 1;
  const [sums, areas] = [new Float64Array(count), new Float64Array(count)];
  words.forEach((word, i) => {
    sums[word] += values[i];
    areas[word]++;
  });
  return sums.map((sum, word) => sum / Math.max(1, areas[word]));
}

/** Number of the word of every pixel, 0 outside of text. */
export function wordsOf(classes, width, height) {
  const areas = components(width, height, (i) => classes[i] > 0);
  const heights = lineHeights(areas, classes, width, height);
  const areaAt = new Int32Array(classes.length);
  paint(areaAt, areas, width, (n) => areas.numbers[n] + 1);
  const words = new Int32Array(classes.length);
  const split = new Set(); // areas with a part that is large enough to stand alone
  let first = areas.numbers.length + 1;
  for (const kind of [GENUINE, TAMPERED]) {
    const parts = components(width, height, (i) => classes[i] === kind);
    const areaOf = (n) => areaAt[parts.runs[3 * n] * width + parts.runs[3 * n + 1]];
    const isWhole = (n) => sizeOf(parts, parts.numbers[n]) >= LEAST_PART * heights[areaOf(n) - 1] ** 2;
    paint(words, parts, width, (n) => {
      if (!isWhole(n)) return 0;
      split.add(areaOf(n));
      return first + parts.numbers[n];
    });
    first += parts.numbers.length;
  }
  settleSmall(words, areaAt, split, width, height);
  return words;
}

/** Parts too small to stand alone: to the nearest word, or to the area if it has no larger one. */
function settleSmall(words, areaAt, split, width, height) {
  let isAnySmall = false;
  words.forEach((word, i) => {
    if (areaAt[i] && !split.has(areaAt[i])) words[i] = areaAt[i];
    isAnySmall ||= Boolean(areaAt[i]) && !words[i];
  });
  if (!isAnySmall) return;
  fillNearest(words, width, height);
  words.forEach((_, i) => { if (!areaAt[i]) words[i] = 0; });
}

/** Runs of connected pixels, the number of the component of each, and sizes by number. */
function components(width, height, is) {
  const runs = runsWhere(width, height, is);
  const numbers = grouped(runs, 1);
  const sizes = new Map();
  numbers.forEach((number, n) => {
    sizes.set(number, (sizes.get(number) ?? 0) + runs[3 * n + 2] - runs[3 * n + 1]);
  });
  return { runs, numbers, sizes };
}

const sizeOf = ({ sizes }, number) => sizes.get(number);

/** Set the pixels of every run n to value(n). */
function paint(target, { runs, numbers }, width, value) {
  for (let n = 0; n < numbers.length; n++) {
    const row = runs[3 * n] * width;
    const number = value(n);
    if (number) target.fill(number, row + runs[3 * n + 1], row + runs[3 * n + 2]);
  }
}

/** Height of the line in every area: twice the largest distance to the background, in pixels. */
function lineHeights({ runs, numbers }, classes, width, height) {
  const heights = new Float64Array(numbers.length);
  const depth = depths(classes, width, height);
  for (let n = 0; n < numbers.length; n++) {
    for (let x = runs[3 * n + 1]; x < runs[3 * n + 2]; x++) {
      heights[numbers[n]] = Math.max(heights[numbers[n]], (2 * depth(runs[3 * n], x)) / UNIT);
    }
  }
  return heights;
}
