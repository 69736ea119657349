// From classes of pixels to regions of text: boxes, outlines, scores; see upocr/regions.py.

import { grouped, runsWhere } from "../pixels.js";

const MIN_AREA = 16; // pixels of the smallest region that is listed
// The eight neighbours of a pixel as [dx, dy], counter-clockwise from the right.
const NEIGHBOURS = [[1, 0], [1, -1], [0, -1], [-1, -1], [-1, 0], [-1, 1], [0, 1], [1, 1]];

/** Regions of all classes but the first, in reading order; classes, scores: (H x W). */
export function findRegions(classes, scores, width, height, names, minArea = MIN_AREA) {
  const found = names.slice(1).flatMap((name, k) => {
    const runs = runsWhere(width, height, (i) => classes[i] === k + 1);
    return groupsOf(runs).map((group) => regionOf(group, name, scores, width));
  });
  return found.filter(({ area }) => area >= minArea)
    .sort((a, b) => a.box[1] - b.box[1] || a.box[0] - b.box[0]);
}

/** Connected runs together: lists of [y, start, end]. */
function groupsOf(runs) {
  const groups = new Map();
  grouped(runs, 1).forEach((number, n) => {
    if (!groups.has(number)) groups.set(number, []);
    groups.get(number).push(runs.slice(3 * n, 3 * n + 3));
  });
  return [...groups.values()];
}

function regionOf(group, name, scores, width) {
  const box = [Infinity, group[0][0], 0, group.at(-1)[0] + 1];
  let [area, sum] = [0, 0];
  for (const [y, start, end] of group) {
    box[0] = Math.min(box[0], start);
    box[2] = Math.max(box[2], end);
    area += end - start;
    for (let x = start; x < end; x++) sum += scores[y * width + x];
  }
  const score = Number((sum / area / 255).toFixed(4));
  return { class: name, box, polygon: outlineOf(group, box), score, area };
}

/** Corners of the outline of a connected group, from its first pixel on, counter-clockwise. */
function outlineOf(group, [left, top, right, bottom]) {
  const wide = right - left + 2; // with an empty border
  const mask = new Uint8Array(wide * (bottom - top + 2));
  for (const [y, start, end] of group) {
    const row = (y - top + 1) * wide - left + 1;
    mask.fill(1, row + start, row + end);
  }
  const offsets = NEIGHBOURS.map(([dx, dy]) => dy * wide + dx);
  const points = traced(mask, offsets, mask.indexOf(1));
  return points.map((place) => [(place % wide) - 1 + left, Math.floor(place / wide) - 1 + top]);
}

/** Follow the border of a mask (Suzuki and Abe); where its direction changes there is a corner. */
function traced(mask, offsets, start) {
  let direction = [3, 2, 1, 0, 7, 6, 5].find((each) => mask[start + offsets[each]]);
  if (direction === undefined) return [start];
  const last = start + offsets[direction];
  const corners = [];
  let place = start;
  let previous = direction ^ 4;
  for (;;) {
    do direction = (direction + 1) % 8; while (!mask[place + offsets[direction]]);
    if (direction !== previous) corners.push(place);
    previous = direction;
    const next = place + offsets[direction];
    if (next === start && place === last) return corners;
    place = next;
    direction = (direction + 4) % 8;
  }
}
