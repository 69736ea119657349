// Distances to the nearest pixel of a kind, as OpenCV measures them, in units of 1 / UNIT pixels.

const FAR = 2 ** 31 - 1;

const fixed = (pixels) => Math.round(Math.fround(pixels) * 65536);
const SMALL = [[0, -1, fixed(0.955)], [-1, -1, fixed(1.3693)], [-1, 0, fixed(0.955)], [-1, 1, fixed(1.3693)]];
const LARGE = [
  [-2, -1, fixed(2.1969)], [-2, 1, fixed(2.1969)], [-1, -2, fixed(2.1969)], [-1, -1, fixed(1.4)],
  [-1, 0, fixed(1)], [-1, 1, fixed(1.4)], [-1, 2, fixed(2.1969)], [0, -1, fixed(1)],
];
export const UNIT = 65536;

/** Distance of every pixel to the nearest 0 of `mask`, beyond whose border everything is 0. */
export function depths(mask, width, height) {
  const [wide, high] = [width + 2, height + 2];
  const distances = new Int32Array(wide * high);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (mask[y * width + x]) distances[(y + 1) * wide + x + 1] = FAR;
    }
  }
  passes(distances, wide, high, SMALL);
  return (y, x) => distances[(y + 1) * wide + x + 1];
}

/** Replace every 0 of `numbers` by the nearest other number. */
export function fillNearest(numbers, width, height) {
  const distances = Int32Array.from(numbers, (number) => (number ? 0 : FAR));
  passes(distances, width, height, LARGE, numbers);
}

/** Forward and backward over the picture; every pixel takes the least of its neighbours and a step. */
function passes(distances, width, height, steps, numbers = null) {
  for (const direction of [1, -1]) {
    const offsets = steps.map(([dy, dx, length]) => [direction * dy, direction * dx, length]);
    for (let n = 0; n < width * height; n++) {
      const i = direction > 0 ? n : width * height - 1 - n;
      if (distances[i]) relax(i, distances, width, height, offsets, numbers);
    }
  }
}

function relax(i, distances, width, height, offsets, numbers) {
  const y = Math.floor(i / width);
  const x = i - y * width;
  for (const [dy, dx, length] of offsets) {
    if (y + dy < 0 || y + dy >= height || x + dx < 0 || x + dx >= width) continue;
    const other = i + dy * width + dx;
    if (distances[other] + length >= distances[i]) continue;
    distances[i] = distances[other] + length;
    if (numbers) numbers[i] = numbers[other];
  }
}
