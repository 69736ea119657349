// One picture through the network: what the page shows of all tasks.

import { Failure } from "../failure.js";
import { findRegions } from "./regions.js";
import { halfSizes, multiscale } from "./scales.js";
import { countWindows, tile } from "./tiling.js";
import { judgeWords } from "./words.js";

const REMOVAL = "text_removal";
const DETECTION = "tampered_text_detection";
const SEGMENTATION = "text_segmentation";
const CLASSES = ["background", "genuine", "tampered"];
const NONE = 1e-6; // evidence for text that is none

/** Number of windows of a picture at all scales. */
export function windowsOf(height, width, window) {
  const sizes = [[height, width], ...halfSizes(height, width, window)];
  return sizes.reduce((sum, size) => sum + countWindows(...size, window), 0);
}

/**
 * Run tasks on a picture, ImageData. predict(values, height, width, tasks): planes, three per task.
 * Resolves to maps (H x W) and regions: painted (RGBA); likelihood, 255 is certainly text; classes.
 */
export async function analyse(image, tasks, window, verdict, predict) {
  const level = (each) =>
    tile(each, (values, height, width) => predict(values, height, width, tasks), window);
  const pictures = [tasks.indexOf(REMOVAL)];
  const maps = new Maps(image, tasks);
  const bands = multiscale(onWhite(image), level, window, tasks.indexOf(SEGMENTATION), pictures);
  for await (const band of bands) maps.add(band);
  const { width, height } = image;
  const { painted, likelihood, classes, share } = maps;
  if (!classes) return { painted, likelihood, regions: [] };
  const judged = judgeWords(classes, share, width, height, verdict);
  const regions = findRegions(judged.classes, judged.scores, width, height, CLASSES);
  return { painted, likelihood, classes: judged.classes, regions };
}

/** What is kept of the network's output. */
class Maps {
  constructor({ width, height }, tasks) {
    const area = width * height;
    this.width = width;
    this.places = Object.fromEntries(tasks.map((task, n) => [task, 3 * n]));
    this.likelihood = new Float32Array(area);
    if (REMOVAL in this.places) this.painted = new Uint8ClampedArray(4 * area).fill(255);
    if (DETECTION in this.places) {
      this.classes = new Uint8Array(area);
      this.share = new Uint8ClampedArray(area); // of `tampered` in the evidence for text
    }
  }

  add({ top, planes }) {
    const of = (task) => planes.slice(this.places[task], this.places[task] + 3);
    const first = top * this.width;
    this.addText(of(SEGMENTATION), first);
    if (this.painted) this.addPainted(of(REMOVAL), first);
    if (this.classes) this.addClasses(of(DETECTION), first);
  }

  addText([red, green, blue], first) {
    for (let i = 0; i < red.length; i++) {
      this.likelihood[first + i] = 85 * (red[i] + green[i] + blue[i]);
    }
  }

  addPainted(planes, first) {
    planes.forEach((plane, c) => {
      for (let i = 0, j = 4 * first + c; i < plane.length; i++, j += 4) this.painted[j] = 255 * plane[i];
    });
  }

  addClasses([none, genuine, tampered], first) {
    for (let i = 0; i < none.length; i++) {
      const text = Math.max(genuine[i], tampered[i]);
      this.classes[first + i] = none[i] >= text ? 0 : genuine[i] >= tampered[i] ? 1 : 2;
      this.share[first + i] = (255 * tampered[i]) / Math.max(NONE, genuine[i] + tampered[i]);
    }
  }
}

/** The picture as seen on white paper. */
function onWhite(image) {
  const { width, height, data } = image;
  let isOpaque = true;
  for (let i = 3; i < data.length && isOpaque; i += 4) isOpaque = data[i] === 255;
  if (isOpaque) return image;
  const seen = new Uint8ClampedArray(data.length).fill(255);
  for (let i = 0; i < data.length; i++) {
    if (i % 4 < 3) seen[i] = 255 + (data[i | 3] / 255) * (data[i] - 255);
  }
  return { width, height, data: seen };
}

/** The pixels of a file, upright; throws Failure. */
export async function pixelsOf(file, maxPixels) {
  const bitmap = await createImageBitmap(file).catch(() => null);
  if (!bitmap) throw new Failure(`This browser cannot read ${file.name}.`, 415);
  const { width, height } = bitmap;
  try {
    if (width * height > maxPixels) {
      const [found, limit] = [width * height, maxPixels].map((count) => (count / 1e6).toFixed(0));
      throw new Failure(`The picture has ${found} million pixels; the limit is ${limit} million.`, 413);
    }
    const context = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, 0);
    return context.getImageData(0, 0, width, height);
  } finally {
    bitmap.close();
  }
}
