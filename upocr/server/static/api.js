// The engine of the page, here the API of this server. local/api.js has the same exports.

import { Failure } from "./failure.js";
import { channel, decode } from "./pixels.js";

export const hasApi = true;
export const NOTE = "Nothing is stored.";
export const FIRST_STEP = "Sending";

// Files that the page shows or keeps for the download.
const WANTED = {
  remove: ["removed.png", "removed.jpg", "painted.png"],
  segment: ["mask.png", "probability.png"],
  detect: ["classes.png", "regions.json"],
};

export async function getModel() {
  return (await reached(fetch("/v1/model"))).json();
}

/**
 * Run all tasks on a file and resolve to name, size, regions, files and maps of the result, and to
 * its pixels as `source` if they are needed. options: signal, onProgress(kind, data).
 */
export async function analyse(file, model, needsSource, options) {
  const include = Object.keys(model.tasks).flatMap((each) => WANTED[each]);
  if (needsSource) include.push("source.png");
  const result = await run("all", { image: file, include: include.join(",") }, options);
  const files = Object.fromEntries(
    Object.entries(result.files).map(([name, each]) => [name, fileOf(each)]));
  const decoded = async (name, read = (image) => image) =>
    files[name] && read(await decode(files[name]));
  return {
    ...result,
    files,
    source: await decoded("source.png"),
    likelihood: await decoded("probability.png", (image) => channel(image, 0)),
    classes: await decoded("classes.png", classesIn),
    painted: await decoded("painted.png"),
  };
}

/** A file for other thresholds and regions than those of `analyse`, as the command writes it. */
export async function produce(picture, task, name, options) {
  const fields = { image: picture.file, include: name, threshold: String(picture.threshold) };
  if (task === "remove" && !picture.region.isEmpty) fields.region = await picture.region.file();
  const { files } = await run(task, fields, options);
  return fileOf(files[name]);
}

function classesIn({ data, width, height }) {
  const classes = new Uint8Array(width * height);
  for (let i = 0, j = 0; i < classes.length; i++, j += 4) {
    classes[i] = data[j + 1] > 127 ? 1 : data[j + 2] > 127 ? 2 : 0;
  }
  return classes;
}

/** Send a form and resolve to the JSON of the result; throws Failure with a sentence. */
async function run(route, fields, { signal, onProgress }) {
  const body = new FormData();
  for (const [key, value] of Object.entries(fields)) {
    if (value instanceof Blob) body.append(key, value, value.name ?? `${key}.png`);
    else body.append(key, value);
  }
  const headers = { Accept: "text/event-stream" };
  const response = await reached(fetch(`/v1/${route}`, { method: "POST", body, headers, signal }));
  if (!response.ok) throw new Failure((await response.json()).error, response.status);
  for await (const { name, data } of events(response.body)) {
    if (name === "result") return data;
    if (name === "error") throw new Failure(data.error, data.status);
    onProgress(name, data);
  }
  throw new Failure("The server has stopped.");
}

async function reached(request) {
  try {
    return await request;
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Failure("The server cannot be reached.");
  }
}

async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    let from = Math.max(0, text.length - 1); // a result is long: no character is read twice
    text += value;
    for (let end; (end = text.indexOf("\n\n", from)) >= 0; from = 0) {
      const event = text.slice(0, end);
      text = text.slice(end + 2);
      const [, name, data] = event.match(/^event: (\w+)\ndata: (.*)$/s) ?? [];
      if (name) yield { name, data: JSON.parse(data) };
    }
  }
}

/** A file of the result. */
function fileOf({ type, data }) {
  const bytes = Uint8Array.fromBase64?.(data) ?? Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type });
}
