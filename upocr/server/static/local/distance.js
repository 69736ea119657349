// Distances to the nearest pixel of a kind, as OpenCV measures them, in units of 1 / UNIT pixels.

export const UNIT = 65536;
const FAR = 2 ** 30;
const BORDER = 2; // pixels around a picture, so that every pixel has all neighbours

// Neighbours that come before a pixel, as [dy, dx, distance].
const fixed = (pixels) => Math.round(UNIT * Math.fround(pixels));
const NEAR = [[0, -1, fixed(0.955)], [-1, -1, fixed(1.3693)], [-1, 0, fixed(0.955)], [-1, 1, fixed(1.3693)]];
const WIDE = [
  [-2, -1, fixed(2.1969)], [-2, 1, fixed(2.1969)], [-1, -2, fixed(2.1969)], [-1, -1, fixed(1.4)],
  [-1, 0, fixed(1)], [-1, 1, fixed(1.4)], [-1, 2, fixed(2.1969)], [0, -1, fixed(1)],
];

/** Distance of every pixel to the nearest 0 of `mask`, or to the border of the picture. */
export function depths(mask, width, height) {
  const distances = bordered(mask, width, height, 0, (is) => (is ? FAR : 0));
  passes(distances, width, height, NEAR);
  return (y, x) => distances[placeOf(y, x, width)];
}

/** Replace every 0 of `numbers` by the nearest other number. */
export function fillNearest(numbers, width, height) {
  const distances = bordered(numbers, width, height, FAR, (number) => (number ? 0 : FAR));
  const nearest = bordered(numbers, width, height, 0, (number) => number);
  passes(distances, width, height, WIDE, nearest);
  for (let y = 0; y < height; y++) {
    const start = placeOf(y, 0, width);
    numbers.set(nearest.subarray(start, start + width), y * width);
  }
}

const placeOf = (y, x, width) => (y + BORDER) * (width + 2 * BORDER) + x + BORDER;

function bordered(values, width, height, outside, inside) {
  const found = new Int32Array((width + 2 * BORDER) * (height + 2 * BORDER)).fill(outside);
  for (let y = 0, i = 0; y < height; y++) {
    for (let x = 0, place = placeOf(y, 0, width); x < width; x++) found[place++] = inside(values[i++]);
  }
  return found;
}

/** Forward and backward: every pixel takes the least of its neighbours' distances and a step. */
function passes(distances, width, height, steps, numbers = null) {
  const lengths = Int32Array.from(steps, ([, , length]) => length);
  for (const direction of [1, -1]) {
    const offsets = Int32Array.from(steps, ([dy, dx]) => direction * (dy * (width + 2 * BORDER) + dx));
    for (let row = 0; row < height; row++) {
      const forwards = direction > 0;
      let place = forwards ? placeOf(row, 0, width) : placeOf(height - 1 - row, width - 1, width);
      for (let x = 0; x < width; x++, place += direction) relax(place, distances, offsets, lengths, numbers);
    }
  }
}

function relax(place, distances, offsets, lengths, numbers) {
  let least = distances[place];
  if (!least) return;
  let nearest = place;
  for (let k = 0; k < offsets.length; k++) {
    const other = place + offsets[k];
    const distance = distances[other] + lengths[k];
    if (distance < least) [least, nearest] = [distance, other];
  }
  distances[place] = least;
  if (numbers) numbers[place] = numbers[nearest];
}
