// Pictures at half their size, and maps enlarged; as OpenCV and upocr/tiling.py do it.

const COVERED = 3; // most pixels that one of half the size covers in part

/** 1/2 of a picture { width, height, data } in RGBA, each pixel the mean of the area it covers. */
export function halve({ width, height, data }) {
  const [wide, high] = [Math.ceil(width / 2), Math.ceil(height / 2)];
  const columns = shares(width, wide);
  const rows = shares(height, high);
  // OpenCV rounds halves up where four whole pixels become one, else to even, as the array does.
  const upwards = width === 2 * wide && height === 2 * high ? 1e-4 : 0;
  const half = new Uint8ClampedArray(4 * wide * high).fill(255);
  const sums = new Float32Array(3);
  for (let y = 0; y < high; y++) {
    for (let x = 0; x < wide; x++) {
      sums.fill(upwards);
      for (let i = COVERED * y; i < COVERED * (y + 1); i++) {
        for (let j = COVERED * x; j < COVERED * (x + 1); j++) {
          const weight = rows.weights[i] * columns.weights[j];
          const place = 4 * (rows.places[i] * width + columns.places[j]);
          for (let c = 0; c < 3; c++) sums[c] += weight * data[place + c];
        }
      }
      half.set(sums, 4 * (y * wide + x));
    }
  }
  return { width: wide, height: high, data: half };
}

/** Pixels of a line that each pixel of a shorter one covers, and their weights in it. */
function shares(from, to) {
  const places = new Int32Array(COVERED * to);
  const weights = new Float32Array(COVERED * to); // 0 for a pixel that is not covered
  const scale = from / to;
  for (let i = 0; i < to; i++) {
    const [start, end] = [i * scale, Math.min((i + 1) * scale, from)];
    for (let k = 0; k < COVERED; k++) {
      const place = Math.floor(start) + k;
      const covered = Math.min(end, place + 1) - Math.max(start, place);
      if (covered <= 1e-3) continue;
      places[COVERED * i + k] = place;
      weights[COVERED * i + k] = covered / (end - start);
    }
  }
  return { places, weights };
}

/** Rows of a small map resized bilinearly to (height, width): `count` of them from `top` on. */
export function enlargeRows(small, smallHeight, smallWidth, top, count, height, width) {
  const tall = new Float32Array(count * smallWidth);
  for (let y = 0; y < count; y++) {
    const { before, after, share } = between(top + y, smallHeight, height);
    for (let x = 0; x < smallWidth; x++) {
      const start = small[before * smallWidth + x];
      tall[y * smallWidth + x] = start + share * (small[after * smallWidth + x] - start);
    }
  }
  const large = new Float32Array(count * width);
  for (let x = 0; x < width; x++) {
    const { before, after, share } = between(x, smallWidth, width);
    for (let y = 0; y < count; y++) {
      const start = tall[y * smallWidth + before];
      large[y * width + x] = start + share * (tall[y * smallWidth + after] - start);
    }
  }
  return large;
}

/** The two pixels of a shorter line between which a pixel lies, and the share of the second. */
function between(place, shorter, longer) {
  const position = Math.min(shorter - 1, Math.max(0, ((place + 0.5) * shorter) / longer - 0.5));
  const before = Math.floor(position);
  return { before, after: Math.min(before + 1, shorter - 1), share: position - before };
}
