// The engine of the page without a server: a worker of this browser. ../api.js has the same exports.

import { Failure } from "../failure.js";
import { classesOf } from "../pixels.js";

export const hasApi = false;
export const NOTE = "Pictures stay on this device.";
export const FIRST_STEP = "Reading";

const BASE = new URL("../../", import.meta.url); // of the site
const COLOURS = [[255, 0, 0], [0, 255, 0], [0, 0, 255]]; // of classes
const QUALITY = 0.95; // of JPEG

let worker = null;
let runs = 0;

export async function getModel() {
  const response = await fetch(new URL("model.json", BASE)).catch(() => null);
  if (!response?.ok) throw new Failure("The model cannot be loaded.");
  return response.json();
}

/** Run all tasks on a file; see ../api.js. Files are made when they are asked for. */
export async function analyse(file, model, needsSource, { signal, onProgress }) {
  const result = await answered({ file, model, base: BASE.href }, signal, onProgress);
  const { width, height, painted } = result;
  return {
    ...result,
    name: file.name.replace(/\.[^.]*$/, "") || "image",
    files: {},
    painted: painted && new ImageData(painted, width, height),
  };
}

/** Send work to the worker and resolve to its answer. */
function answered(request, signal, onProgress) {
  worker ??= new Worker(new URL("worker.js", import.meta.url), { type: "module" });
  const id = ++runs;
  return new Promise((resolve, reject) => {
    const fail = (error) => {
      if (!(error instanceof Failure) || error.mayPass) { // a second try begins afresh
        worker?.terminate();
        worker = null;
      }
      reject(error);
    };
    worker.onerror = () => fail(new Failure("The model cannot be loaded."));
    worker.onmessage = ({ data: { id: of, kind, data } }) => {
      if (of !== id) return;
      if (kind === "result") resolve(data);
      else if (kind !== "error") onProgress(kind, data);
      else fail(data.status === undefined ? new Error(data.message) : new Failure(data.message, data.status));
    };
    signal.addEventListener("abort", () => {
      worker?.postMessage({ id: null });
      reject(signal.reason);
    }, { once: true });
    worker.postMessage({ id, ...request });
  });
}

/** A file for threshold and region as they are. */
export async function produce(picture, task, name) {
  const { original, classes, composite, region, result, runs: text } = picture;
  const { width, height } = original;
  if (name === "regions.json") {
    const content = JSON.stringify({ width, height, regions: result.regions }, null, 2);
    return new Blob([`${content}\n`], { type: "application/json" });
  }
  if (name === "classes.png") return encoded(coloured(classes, COLOURS, width, height));
  if (task === "segment") {
    const isText = classesOf(text, width, height);
    if (name === "cutout.png") return encoded(cutOut(original, isText));
    return encoded(coloured(isText, [[0, 0, 0], [255, 255, 255]], width, height));
  }
  composite.update(text, region.allowed());
  return encoded(composite.image, name.endsWith("jpg") ? "image/jpeg" : "image/png");
}

function coloured(classes, colours, width, height) {
  const palette = new Uint32Array(Uint8Array.from(colours.flatMap((each) => [...each, 255])).buffer);
  const pixels = Uint32Array.from(classes, (number) => palette[number]);
  return new ImageData(new Uint8ClampedArray(pixels.buffer), width, height);
}

/** Text on a transparent ground. */
function cutOut(original, isText) {
  const { data, width, height } = original;
  const image = new ImageData(new Uint8ClampedArray(data), width, height);
  isText.forEach((is, i) => { if (!is) image.data[4 * i + 3] = 0; });
  return image;
}

/** The content of an image file; JPEG shows white where the picture is transparent. */
function encoded(image, type = "image/png") {
  const canvas = new OffscreenCanvas(image.width, image.height);
  const context = canvas.getContext("2d");
  context.putImageData(image, 0, 0);
  if (type === "image/jpeg") {
    context.globalCompositeOperation = "destination-over";
    context.fillStyle = "white";
    context.fillRect(0, 0, image.width, image.height);
  }
  return canvas.convertToBlob({ type, quality: QUALITY });
}
