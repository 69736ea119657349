// What the server makes of the network's output, so that threshold and region react at once.
// Text is handled as runs: [row, first column, last column + 1, ...], three numbers each.

/** The pixels of a picture, upright. */
export async function decode(blob) {
  const bitmap = await createImageBitmap(blob);
  const canvas = canvasOf(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

export function canvasOf(width, height) {
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = height;
  return canvas;
}

/** One channel of a picture. */
export function channel(image, index) {
  const values = new Uint8Array(image.width * image.height);
  for (let i = 0, j = index; i < values.length; i++, j += 4) values[i] = image.data[j];
  return values;
}

/** Runs of the pixels whose number `is` accepts. */
export function runsWhere(width, height, is) {
  const runs = [];
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0; x < width; x++) {
      if (!is(row + x)) continue;
      const start = x;
      while (x < width && is(row + x)) x++;
      runs.push(y, start, x);
    }
  }
  return runs;
}

/** Runs of values above a limit. */
export function runsAbove(values, width, height, limit) {
  return runsWhere(width, height, (i) => values[i] > limit);
}

/** The runs of groups of strokes that are text beyond doubt; see upocr/decisions.py. */
export function confirmed(runs, width, probability, detected, threshold, rules) {
  const groups = grouped(runs, rules.gap + 1);
  const count = runs.length / 3;
  const area = new Float64Array(count);
  const certainty = new Float64Array(count);
  const agreement = new Float64Array(count);
  for (let n = 0; n < count; n++) {
    const group = groups[n];
    const row = runs[3 * n] * width;
    for (let i = row + runs[3 * n + 1], end = row + runs[3 * n + 2]; i < end; i++) {
      area[group]++;
      certainty[group] += probability[i];
      if (detected?.[i]) agreement[group]++;
    }
  }
  const least = 255 * (threshold + rules.margin * (1 - threshold));
  return runs.filter((_, k) => {
    const group = groups[Math.floor(k / 3)];
    const sure = certainty[group] > 255 * rules.sure * area[group];
    const agreed = !detected || agreement[group] > rules.min_agreement * area[group];
    return (agreed || sure) && certainty[group] > least * area[group];
  });
}

/** Number of the group of every run; runs at most `reach` pixels apart belong together. */
export function grouped(runs, reach) {
  const parent = Int32Array.from({ length: runs.length / 3 }, (_, n) => n);
  const root = (n) => {
    while (parent[n] !== n) n = parent[n] = parent[parent[n]];
    return n;
  };
  const rows = rowsOf(runs);
  for (const [y, [first, last]] of rows) {
    for (let row = y - reach; row <= y; row++) {
      if (!rows.has(row)) continue;
      let [m, end] = rows.get(row);
      for (let n = first; n < last; n++) {
        const [left, right] = [runs[3 * n + 1] - reach, runs[3 * n + 2] + reach];
        while (m < end && runs[3 * m + 2] <= left) m++;
        for (let k = m; k < end && k < n && runs[3 * k + 1] < right; k++) parent[root(k)] = root(n);
      }
    }
  }
  return parent.map((_, n) => root(n));
}

/** Numbers of the first run of every row and of the one after its last. */
function rowsOf(runs) {
  const rows = new Map();
  for (let n = 0; n < runs.length / 3; n++) {
    const row = rows.get(runs[3 * n]);
    if (row) row[1] = n + 1;
    else rows.set(runs[3 * n], [n, n + 1]);
  }
  return rows;
}

/** Half the width of each row of OpenCV's ellipse, from -reach to reach. */
export function ellipse(reach) {
  return Array.from({ length: 2 * reach + 1 }, (_, k) =>
    Math.round(Math.sqrt(reach * reach - (k - reach) ** 2)));
}

/** A picture whose text is replaced; see upocr/composite.py. */
export class Composite {
  constructor(original, painted, rules) {
    this.original = original;
    this.painted = painted;
    this.rules = rules;
    const { width, height } = original;
    this.image = new ImageData(new Uint8ClampedArray(original.data), width, height);
    this.mask = new Uint8Array(width * height);
    this.low = new Int32Array(height).fill(width);
    this.high = new Int32Array(height);
  }

  /** Replace the text of `runs` where `allowed`, (H x W) or null for everywhere. */
  update(runs, allowed) {
    this.restore();
    this.spread(runs);
    const { width, height } = this.image;
    for (let y = 0; y < height; y++) {
      for (let x = this.low[y]; x < this.high[y]; x++) {
        const i = y * width + x;
        if (!allowed || allowed[i]) this.blend(i, this.weight(x, y));
      }
    }
  }

  restore() {
    const { width, height } = this.image;
    for (let y = 0; y < height; y++) {
      if (this.low[y] >= this.high[y]) continue;
      const [start, end] = [y * width + this.low[y], y * width + this.high[y]];
      this.image.data.set(this.original.data.subarray(4 * start, 4 * end), 4 * start);
      this.mask.fill(0, start, end);
    }
    this.low.fill(width);
    this.high.fill(0);
  }

  spread(runs) {
    const { width, height } = this.image;
    const reach = this.rules.dilation;
    const halves = ellipse(reach);
    for (let n = 0; n < runs.length; n += 3) {
      const top = Math.max(0, runs[n] - reach);
      const bottom = Math.min(height - 1, runs[n] + reach);
      for (let y = top; y <= bottom; y++) {
        const half = halves[y - runs[n] + reach];
        const start = Math.max(0, runs[n + 1] - half);
        const end = Math.min(width, runs[n + 2] + half);
        this.mask.fill(255, y * width + start, y * width + end);
      }
      for (let y = Math.max(0, top - 1); y <= Math.min(height - 1, bottom + 1); y++) {
        this.low[y] = Math.min(this.low[y], Math.max(0, runs[n + 1] - reach - 1));
        this.high[y] = Math.max(this.high[y], Math.min(width, runs[n + 2] + reach + 1));
      }
    }
  }

  /** The mask, blurred over 3 x 3 pixels; the border reflects. */
  weight(x, y) {
    const { width, height } = this.image;
    const left = x > 0 ? x - 1 : Math.min(1, width - 1);
    const right = x < width - 1 ? x + 1 : Math.max(width - 2, 0);
    const above = (y > 0 ? y - 1 : Math.min(1, height - 1)) * width;
    const below = (y < height - 1 ? y + 1 : Math.max(height - 2, 0)) * width;
    const here = y * width;
    const { mask } = this;
    const sum = mask[above + left] + mask[above + x] + mask[above + right]
      + mask[here + left] + mask[here + x] + mask[here + right]
      + mask[below + left] + mask[below + x] + mask[below + right];
    return Math.round(sum / 9);
  }

  blend(pixel, weight) {
    if (!weight) return;
    const { data } = this.image;
    for (let i = 4 * pixel, end = i + 3; i < end; i++) {
      data[i] = Math.round(data[i] + (weight / 255) * (this.painted.data[i] - data[i]));
    }
  }
}

/** A pale picture with tinted classes, as in the server's overlays. */
export function overlay(original, classes, tints) {
  const { width, height, data } = original;
  const image = new ImageData(width, height);
  const out = image.data;
  for (let i = 0, j = 0; i < classes.length; i++, j += 4) {
    const tint = tints[classes[i]];
    for (let c = 0; c < 3; c++) {
      out[j + c] = tint ? data[j + c] * 0.4 + tint[c] * 0.6 : data[j + c] / 2 + 100;
    }
    out[j + 3] = 255;
  }
  return image;
}

/** Classes (H x W), 1 on the pixels of the runs. */
export function classesOf(runs, width, height) {
  const classes = new Uint8Array(width * height);
  for (let n = 0; n < runs.length; n += 3) {
    classes.fill(1, runs[n] * width + runs[n + 1], runs[n] * width + runs[n + 2]);
  }
  return classes;
}
