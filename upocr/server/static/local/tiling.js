// A picture of any size through the network: overlapping windows, blended smoothly; see
// upocr/tiling.py. Maps are lists of planes, one Float32Array (height x width) per channel.

const STRIDE = 32; // the sides of a window are multiples of it
const OVERLAP = 0.25; // fraction of a window shared with each neighbour
const UNIT = Float32Array.from({ length: 256 }, (_, value) => value / 255);

/** Pixels that a window shares with each neighbour; the smallest windows have no room for it. */
export function rampOf(window) {
  return window > STRIDE ? Math.floor(window * OVERLAP) : 0;
}

const roundUp = (side) => Math.ceil(side / STRIDE) * STRIDE;

/** First pixels of the fewest, evenly spread windows that cover a length and overlap by `ramp`. */
export function windowStarts(length, window, ramp) {
  if (length <= window) return [0];
  const steps = (roundUp(length) - window) / STRIDE;
  const gaps = Math.ceil(steps / Math.floor((window - ramp) / STRIDE));
  return Array.from({ length: gaps + 1 }, (_, i) => Math.floor((i * steps) / gaps) * STRIDE);
}

/** Number of windows that `tile` runs. */
export function countWindows(height, width, window) {
  const counts = [height, width].map((length) =>
    windowStarts(length, Math.min(window, roundUp(length)), rampOf(window)).length);
  return counts[0] * counts[1];
}

/**
 * Run `predict` in windows and yield the blended output from top to bottom, as bands
 * { top, height, planes }. image: { width, height, data }, RGBA without transparency.
 * predict(values, height, width): planar RGB in [0, 1] -> planes.
 */
export async function* tile(image, predict, window) {
  const { width, height } = image;
  const [high, wide] = [height, width].map((side) => Math.min(window, roundUp(side)));
  const ramp = rampOf(window);
  const tops = windowStarts(height, high, ramp);
  const lefts = windowStarts(width, wide, ramp);
  let tail = null; // planes of the strip above, over the ramp
  let begin = 0;
  for (const [index, top] of tops.entries()) {
    const windows = [];
    for (const left of lefts) {
      windows.push(await predict(cut(image, top, left, high, wide), high, wide));
    }
    const strip = windows[0].map((_, channel) =>
      joinColumns(windows.map((planes) => planes[channel]), lefts, high, wide, width, ramp));
    if (tail) strip.forEach((plane, c) => fadeRows(tail[c], plane, (begin - top) * width, width, ramp));
    const isLast = index + 1 === tops.length;
    const end = isLast ? height : rampStart(tops[index + 1], top + high, ramp);
    const rows = (from, to) => strip.map((plane) => plane.subarray((from - top) * width, (to - top) * width));
    yield { top: begin, height: end - begin, planes: rows(begin, end) };
    tail = isLast ? null : rows(end, end + ramp);
    begin = end;
  }
}

/** A window as planar RGB in [0, 1]; the picture is mirrored beyond its border. */
export function cut({ width, height, data }, top, left, high, wide) {
  const values = new Float32Array(3 * high * wide);
  const columns = Int32Array.from({ length: wide }, (_, x) => 4 * mirrored(left + x, width));
  for (let y = 0, i = 0; y < high; y++) {
    const row = 4 * width * mirrored(top + y, height);
    for (let x = 0; x < wide; x++, i++) {
      const place = row + columns[x];
      values[i] = UNIT[data[place]];
      values[i + high * wide] = UNIT[data[place + 1]];
      values[i + 2 * high * wide] = UNIT[data[place + 2]];
    }
  }
  return values;
}

/** A place of a line that is mirrored with its last pixel, again and again. */
function mirrored(place, length) {
  const rest = place % (2 * length);
  return rest < length ? rest : 2 * length - 1 - rest;
}

/** First pixel of the ramp between two windows, in the middle of their overlap. */
function rampStart(start, previousEnd, ramp) {
  return start + Math.floor((previousEnd - start - ramp) / 2);
}

/** Weights of the new window over a ramp: half a period of a cosine from just above 0 to 1. */
function fade(ramp) {
  return Float32Array.from({ length: ramp }, (_, i) => (1 - Math.cos((Math.PI * (i + 0.5)) / ramp)) / 2);
}

/** One row of windows (high x wide) -> a strip (high x width). */
function joinColumns(windows, lefts, high, wide, width, ramp) {
  const strip = new Float32Array(high * width);
  const weights = fade(ramp);
  windows.forEach((output, index) => {
    const left = lefts[index];
    const start = index ? rampStart(left, lefts[index - 1] + wide, ramp) : 0;
    const end = index ? start + ramp : 0;
    const last = Math.min(width, left + wide);
    for (let y = 0; y < high; y++) {
      const row = y * width;
      const from = y * wide - left;
      // One window plus a fraction of the difference is exact where both agree.
      for (let x = start; x < end; x++) {
        strip[row + x] += weights[x - start] * (output[from + x] - strip[row + x]);
      }
      strip.set(output.subarray(from + end, from + last), row + end);
    }
  });
  return strip;
}

/** Blend the tail of the strip above into a strip, from a place on. */
function fadeRows(tail, strip, place, width, ramp) {
  const weights = fade(ramp);
  for (let i = 0; i < ramp * width; i++) {
    strip[place + i] = tail[i] + weights[Math.floor(i / width)] * (strip[place + i] - tail[i]);
  }
}
