// Large text, detected at 1/2, 1/4, ... scale; see upocr/scales.py.

import { ellipse, grouped, runsAbove } from "../pixels.js";
import { UNIT, depths } from "./distance.js";
import { enlargeRows, halve } from "./resize.js";

const LARGE = 40; // text above this height in pixels, or half a window, is from a smaller scale
const LEAST = 0.25; // the smallest scale fits into this fraction of a window
// Of letters: probabilities that do not suffice, of huge ones, too; strokes by the longer side.
const [LIKELY, CERTAIN] = [0.5, 0.7];
const [THIN, THICK] = [0.12, 0.4];
const Half = globalThis.Float16Array ?? Float32Array; // of maps that wait for a finer scale

/**
 * 1/2, 1/4, ... of a size, down to `LEAST` of a window, as [height, width]; without sizes that have
 * no room for large text.
 */
export function halfSizes(height, width, window) {
  const sizes = [];
  for (let size = [height, width]; Math.max(...size) > LEAST * window;) {
    size = size.map((side) => Math.ceil(side / 2));
    if (Math.min(...size) <= leastLarge(window)) break;
    sizes.push(size);
  }
  return sizes;
}

/** Height at one scale, in pixels, above which text is large for the next finer scale. */
function leastLarge(window) {
  return Math.min(LARGE, window / 2) / 2;
}

/**
 * Run all tasks at all scales and yield bands as `tile` does; every scale adopts large text from
 * the next smaller one. level(image): bands at one scale, three planes per task.
 * text: number of the segmentation among the tasks; pictures: those whose output is a picture.
 */
export async function* multiscale(image, level, window, text, pictures) {
  const images = [image];
  for (const _ of halfSizes(image.height, image.width, window)) images.push(halve(images.at(-1)));
  let coarse = null;
  while (images.length > 1) {
    const smaller = images.pop();
    const planes = await collected(adopt(coarse, level(smaller), smaller, pictures), smaller);
    const likely = mean(planes.slice(3 * text, 3 * text + 3));
    const shares = largeText(likely, smaller.width, smaller.height, window);
    coarse = shares && { ...shares, planes, width: smaller.width, height: smaller.height };
  }
  yield* adopt(coarse, level(image), image, pictures);
}

/** The planes of all bands put together. */
async function collected(bands, { width, height }) {
  let whole = null;
  for await (const { top, planes } of bands) {
    whole ??= planes.map(() => new Half(width * height));
    planes.forEach((plane, c) => whole[c].set(plane, top * width));
  }
  return whole;
}

function mean([red, green, blue]) {
  return Float32Array.from(red, (value, i) => (value + green[i] + blue[i]) / 3);
}

/** Bands of a picture with the large text of a smaller scale in its place. */
async function* adopt(coarse, bands, { width, height }, pictures) {
  for await (const band of bands) {
    if (coarse) adoptRows(coarse, band, width, height, pictures);
    yield band;
  }
}

function adoptRows(coarse, band, width, height, pictures) {
  const rows = [band.top, band.height, height, width];
  const enlarged = (plane) => enlargeRows(plane, coarse.height, coarse.width, ...rows);
  const [ofPictures, ofClasses] = [coarse.ofPictures, coarse.ofClasses].map(enlarged);
  if (!ofPictures.some((share) => share > 0)) return;
  band.planes.forEach((plane, c) => {
    const share = pictures.includes(Math.floor(c / 3)) ? ofPictures : ofClasses;
    const other = enlarged(coarse.planes[c]);
    for (let i = 0; i < plane.length; i++) plane[i] += share[i] * (other[i] - plane[i]);
  });
}

/** Shares of this scale that the next finer one adopts, of pictures and of classes; or null. */
export function largeText(likely, width, height, window, threshold = 0.4) {
  const limit = leastLarge(window); // height here of letters LARGE high there
  const runs = runsAbove(likely, width, height, Math.fround(threshold));
  const numbers = grouped(runs, 1);
  const boxes = boxesOf(runs, numbers);
  const isHugeBox = (n) => boxes.get(n).least > 2 * limit;
  const isLetter = letters(runs, numbers, boxes, likely, width, height, isHugeBox);
  const isLarge = new Set(numbers.filter((n) => isLetter(n) && boxes.get(n).least > limit));
  if (!isLarge.size) return null;
  const dilated = (chosen, reach) =>
    spread(runs.filter((_, k) => chosen.has(numbers[Math.floor(k / 3)])), width, height, Math.round(reach));
  // A narrow letter is as high as its neighbours.
  const near = dilated(isLarge, limit / 2);
  for (let n = 0; n < numbers.length; n++) {
    const [start, end] = [1, 2].map((k) => runs[3 * n] * width + runs[3 * n + k]);
    const isHigh = boxes.get(numbers[n]).most > limit && isLetter(numbers[n]);
    if (isHigh && near.subarray(start, end).includes(1)) isLarge.add(numbers[n]);
  }
  const isHuge = new Set([...isLarge].filter(isHugeBox));
  const [ofLarge, ofHuge] = [isLarge, isHuge].map((chosen) => dilated(chosen, limit / 4));
  return {
    ofPictures: blur(ofLarge, width, height),
    ofClasses: blur(ofLarge.map((is, i) => 0.5 * (is + ofHuge[i])), width, height),
  };
}

/** Whether the group of a number is likely enough and of thin enough strokes. */
function letters(runs, numbers, boxes, likely, width, height, isHuge) {
  const mask = new Uint8Array(width * height);
  numbers.forEach((_, n) =>
    mask.fill(1, runs[3 * n] * width + runs[3 * n + 1], runs[3 * n] * width + runs[3 * n + 2]));
  const depth = depths(mask, width, height);
  const groups = new Map();
  numbers.forEach((number, n) => {
    const group = groups.get(number) ?? { sum: 0, area: 0, stroke: 0 };
    for (let x = runs[3 * n + 1]; x < runs[3 * n + 2]; x++) {
      group.sum += likely[runs[3 * n] * width + x];
      group.stroke = Math.max(group.stroke, (2 * depth(runs[3 * n], x)) / UNIT);
    }
    group.area += runs[3 * n + 2] - runs[3 * n + 1];
    groups.set(number, group);
  });
  return (number) => {
    const { sum, area, stroke } = groups.get(number);
    const share = stroke / boxes.get(number).most;
    return sum > (isHuge(number) && share > THIN ? CERTAIN : LIKELY) * area && share <= THICK;
  };
}

/** Shorter and longer side of every group of runs, by its number. */
function boxesOf(runs, numbers) {
  const boxes = new Map();
  numbers.forEach((number, n) => {
    const [y, start, end] = runs.slice(3 * n, 3 * n + 3);
    const box = boxes.get(number) ?? { top: y, left: start, right: end };
    box.left = Math.min(box.left, start);
    box.right = Math.max(box.right, end);
    const sides = [box.right - box.left, y + 1 - box.top];
    boxes.set(number, { ...box, least: Math.min(...sides), most: Math.max(...sides) });
  });
  return boxes;
}

/** (H x W), 1 on the runs and within `reach` pixels of them. */
function spread(runs, width, height, reach) {
  const mask = new Float32Array(width * height);
  const halves = ellipse(reach);
  for (let n = 0; n < runs.length; n += 3) {
    for (let dy = -reach; dy <= reach; dy++) {
      const y = runs[n] + dy;
      if (y < 0 || y >= height) continue;
      const half = halves[dy + reach];
      const [start, end] = [Math.max(0, runs[n + 1] - half), Math.min(width, runs[n + 2] + half)];
      mask.fill(1, y * width + start, y * width + end);
    }
  }
  return mask;
}

/** Mean over 3 x 3 pixels; the border reflects. */
function blur(plane, width, height) {
  const blurred = new Float32Array(width * height);
  const reflected = (place, length) =>
    length === 1 ? 0 : place < 0 ? 1 : place < length ? place : length - 2;
  for (let y = 0; y < height; y++) {
    const rows = [y - 1, y, y + 1].map((row) => reflected(row, height) * width);
    for (let x = 0; x < width; x++) {
      const columns = [reflected(x - 1, width), x, reflected(x + 1, width)];
      let sum = 0;
      for (const row of rows) for (const column of columns) sum += plane[row + column];
      blurred[y * width + x] = sum / 9;
    }
  }
  return blurred;
}
