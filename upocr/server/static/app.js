// The page: one picture, three views of it, and what the user chooses.

import { FIRST_STEP, NOTE, analyse, getModel, hasApi, produce } from "./api.js";
import { Failure } from "./failure.js";
import { Composite, canvasOf, classesOf, confirmed, decode, overlay, runsAbove } from "./pixels.js";
import { Region } from "./region.js";
import { Viewer } from "./viewer.js";

const SAMPLES = { sign: "Sign", page: "Page", street: "Street" };
const TINTS = { segment: [null, [255, 160, 0]], detect: [null, [0, 190, 90], [40, 90, 255]] };
const FORMATS = {
  remove: { "removed.png": "PNG", "removed.jpg": "JPEG" },
  segment: { "mask.png": "Mask", "cutout.png": "Cut-out" },
  detect: { "regions.json": "JSON", "classes.png": "PNG" },
};
const VERBS = { remove: "Text removed", segment: "Text", detect: "Genuine and tampered text" };

const $ = (id) => document.getElementById(id);
const show = (id, is) => { $(id).hidden = !is; };

const viewer = new Viewer($("view"), $("split"), {
  onDraw: stroke,
  onHover: hover,
  onScale: (scale) => {
    $("size").textContent = percent(scale);
    $("size").setAttribute("aria-label", `${percent(scale)}: actual size`);
  },
});
let model; // what the engine says about itself
let picture = null; // { blob, name, original, ... }; null on the first page
let task = "remove";
let tool = null; // brush, rectangle or null
let controller = null; // of the run in progress
let retry = null;

// A picture and its results

async function open(blob, name) {
  if (blob.size > model.limits.max_bytes) {
    return fail(`The picture is larger than ${Math.floor(model.limits.max_bytes / 1e6)} MB.`);
  }
  cancel();
  const file = new File([blob], name || "picture.png", { type: blob.type });
  const next = { file, original: await decode(blob).catch(() => null) };
  picture = next;
  hideError();
  showWork();
  if (next.original) viewer.show(canvasFrom(next.original));
  if (await busy(() => complete(next), () => open(blob, name))) {
    refresh();
    showResult();
    $("download").focus({ preventScroll: true });
  }
}

/** Run all tasks; nothing is run again until the download asks for other bytes. */
async function complete(next) {
  next.result = await analyse(next.file, model, !next.original, request());
  const { width, height, source, likelihood, classes, painted } = next.result;
  if (source) {
    next.original = source;
    viewer.show(canvasFrom(source));
  }
  if (width !== next.original.width || height !== next.original.height) {
    throw new Failure("This browser shows the picture in another size.");
  }
  next.after = canvasOf(width, height);
  next.region = new Region(width, height);
  next.threshold = model.decision.threshold;
  next.classes = classes;
  if (likelihood) {
    next.likelihood = likelihood;
    next.probability = Uint8ClampedArray.from(likelihood);
  }
  if (painted && likelihood) next.composite = new Composite(next.original, painted, model.decision);
  next.runs = textRuns(next);
}

function textRuns({ likelihood, probability, classes, threshold, original: { width, height } }) {
  if (!likelihood) return [];
  const runs = runsAbove(likelihood, width, height, 255 * threshold);
  return confirmed(runs, width, probability, classes, threshold, model.decision);
}

/** Options of a request to the engine, which Cancel ends. */
function request() {
  controller = new AbortController();
  return { signal: controller.signal, onProgress: showProgress };
}

/** Draw the result of the task with threshold and region as they are. */
function refresh() {
  if (!picture?.after) return;
  const { original, composite, region, runs, classes, after } = picture;
  const context = after.getContext("2d");
  if (task === "remove" && composite) {
    composite.update(runs, region.allowed());
    context.putImageData(composite.image, 0, 0);
  } else if (task === "remove") {
    createImageBitmap(picture.result.files["removed.png"]).then((bitmap) => {
      context.drawImage(bitmap, 0, 0);
      viewer.draw();
    });
  } else {
    const shown = task === "detect" ? classes : classesOf(runs, original.width, original.height);
    context.putImageData(overlay(original, shown, TINTS[task]), 0, 0);
  }
  viewer.after = after;
  viewer.marks = task === "remove" ? region.canvas : null;
  viewer.draw();
  showLegend();
}

// What is visible

function showWork() {
  show("start", false);
  show("work", true);
  show("new", true);
  show("api", false);
  show("tasks", Object.keys(model.tasks).length > 1);
  for (const id of ["split", "tag-before", "tag-after", "tip"]) show(id, false);
  $("panel").inert = true;
}

function showResult() {
  for (const id of ["split", "tag-before", "tag-after"]) show(id, true);
  $("panel").inert = false;
  const hasThreshold = Boolean(picture.likelihood) && task !== "detect";
  show("threshold-group", hasThreshold);
  show("region-group", task === "remove" && Boolean(picture.composite));
  show("legend", task !== "remove");
  const remarks = picture.result.notes ?? [];
  $("remarks").textContent = remarks.map((each) => `${each}.`).join(" ");
  show("remarks", remarks.length > 0);
  $("threshold").value = picture.threshold;
  $("threshold-value").textContent = percent(picture.threshold);
  $("format").replaceChildren(
    ...Object.entries(FORMATS[task]).map(([value, label]) => new Option(label, value)));
  $("view").setAttribute("aria-label", `${VERBS[task]}: ${picture.file.name}`);
  chooseTool(task === "remove" ? tool : null);
  showRegion();
}

function showRegion() {
  const isEmpty = picture.region.isEmpty;
  $("undo").disabled = $("clear").disabled = isEmpty;
}

function showLegend() {
  const { runs, original, result } = picture;
  const count = (name) => result.regions.filter((region) => region.class === name).length;
  const entries = [];
  if (task === "segment") {
    let area = 0;
    for (let n = 0; n < runs.length; n += 3) area += runs[n + 2] - runs[n + 1];
    entries.push(["text", "Text", percent(area / (original.width * original.height), 1)]);
  } else if (task === "detect") {
    entries.push(["genuine", "Genuine", count("genuine")], ["tampered", "Tampered", count("tampered")]);
  }
  $("legend").replaceChildren(...entries.map(([kind, label, figure]) => {
    const item = document.createElement("li");
    const [swatch, number] = ["span", "span"].map((name) => document.createElement(name));
    swatch.className = `swatch ${kind}`;
    number.className = "count";
    number.textContent = figure;
    item.append(swatch, label, number);
    return item;
  }));
}

function percent(share, digits = 0) {
  return `${(100 * share).toFixed(digits)} %`;
}

function hover(point, place) {
  const found = point && task === "detect" && picture?.result?.regions?.find(({ box }) =>
    point.x >= box[0] - 1 && point.x <= box[2] && point.y >= box[1] - 1 && point.y <= box[3]);
  show("tip", Boolean(found));
  if (!found) return;
  $("tip").textContent = `${percent(found.score)} tampered`;
  $("tip").style.left = `${place.x}px`;
  $("tip").style.top = `${place.y}px`;
}

// Progress and errors

/** Do something that takes time, with a card and Cancel; whether it succeeded. */
async function busy(action, again) {
  $("bar").removeAttribute("value");
  $("busy-text").textContent = FIRST_STEP;
  show("busy", true);
  $("cancel").focus();
  const mine = picture;
  try {
    await action();
    return picture === mine;
  } catch (error) {
    if (picture !== mine) return false;
    if (error.name === "AbortError") leave();
    else if (error instanceof Failure) fail(error.message, error.mayPass ? again : null);
    else fail("This picture is too much for this browser.");
    return false;
  } finally {
    if (picture === mine || !picture) show("busy", false);
  }
}

function showProgress(kind, data) {
  if (kind === "queue") {
    $("busy-text").textContent = data.ahead ? `Waiting for ${data.ahead} other${data.ahead > 1 ? "s" : ""}` : "Reading";
  } else {
    const share = data.done / data.total;
    $("busy-text").textContent = kind === "load" ? `Loading the model: ${percent(share)}` : percent(share);
    $("bar").value = share;
  }
}

function cancel() {
  controller?.abort();
  controller = null;
}

/** After Cancel: back to the result, or to the first page if there is none. */
function leave() {
  if (picture?.after) $("download").focus();
  else reset();
}

function fail(sentence, again = null) {
  $("error-text").textContent = sentence;
  retry = again;
  show("again", Boolean(again));
  show("error", true);
  if (picture && !picture.after) reset(false);
}

function hideError() {
  show("error", false);
}

function reset(clean = true) {
  cancel();
  picture = null;
  viewer.before = null;
  show("busy", false);
  show("work", false);
  show("tasks", false);
  show("new", false);
  show("api", hasApi);
  show("start", true);
  if (clean) hideError();
  $("file").focus();
}

// Region

function stroke(kind, point, diameter) {
  const { region } = picture;
  if (kind === "begin") {
    const where = Number(document.querySelector("input[name=where]:checked").value);
    region.begin(tool, where, point, diameter);
  } else if (kind === "move") {
    region.extend(point);
  }
  if (kind === "end") changeRegion();
  else viewer.draw();
}

function changeRegion() {
  showRegion();
  refresh();
}

function chooseTool(name) {
  tool = name;
  for (const each of ["brush", "rectangle"]) {
    $(each).setAttribute("aria-pressed", String(each === name));
  }
  viewer.isDrawing = Boolean(name);
  $("view").classList.toggle("drawing", Boolean(name));
}

const toggleTool = (name) => chooseTool(tool === name ? null : name);

// Download

async function download() {
  const name = $("format").value;
  const isUntouched = task === "detect"
    || (picture.threshold === model.decision.threshold && (task === "segment" || picture.region.isEmpty));
  let file = isUntouched ? picture.result.files[name] : null;
  const make = async () => { file = await produce(picture, task, name, request()); };
  if (!file && !await busy(make, download)) return;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = `${picture.result.name}.${name}`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// Events

function listen() {
  for (const id of ["file", "camera"]) {
    $(id).addEventListener("change", () => {
      const [file] = $(id).files;
      if (file) open(file, file.name);
      $(id).value = "";
    });
  }
  document.addEventListener("paste", (event) => takeFirst(event.clipboardData));
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    show("over", true);
  });
  document.addEventListener("dragleave", (event) => { if (!event.relatedTarget) show("over", false); });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    show("over", false);
    takeFirst(event.dataTransfer);
  });
  for (const input of document.querySelectorAll("input[name=task]")) {
    input.addEventListener("change", () => {
      task = input.value;
      if (picture?.after) {
        showResult();
        refresh();
      }
    });
  }
  $("threshold").addEventListener("input", () => {
    picture.threshold = Number($("threshold").value);
    $("threshold-value").textContent = percent(picture.threshold);
    cancelAnimationFrame(picture.frame);
    picture.frame = requestAnimationFrame(() => {
      picture.runs = textRuns(picture);
      refresh();
    });
  });
  $("brush").addEventListener("click", () => toggleTool("brush"));
  $("rectangle").addEventListener("click", () => toggleTool("rectangle"));
  $("undo").addEventListener("click", undo);
  $("clear").addEventListener("click", () => {
    picture.region.clear();
    changeRegion();
  });
  $("in").addEventListener("click", () => viewer.larger());
  $("out").addEventListener("click", () => viewer.smaller());
  $("size").addEventListener("click", () => {
    if (viewer.isFitted) viewer.actualSize();
    else viewer.fit();
  });
  $("cancel").addEventListener("click", cancel);
  $("download").addEventListener("click", download);
  $("new").addEventListener("click", () => reset());
  $("dismiss").addEventListener("click", hideError);
  $("again").addEventListener("click", () => {
    hideError();
    retry();
  });
  document.addEventListener("keydown", shortcut);
}

function takeFirst(transfer) {
  const file = [...transfer.files].find((each) => each.type.startsWith("image/")) ?? transfer.files[0];
  if (file) open(file, file.name);
}

function undo() {
  if (!picture?.after || picture.region.isEmpty) return;
  picture.region.undo();
  changeRegion();
}

function shortcut(event) {
  if (event.key === "Escape") {
    if (!$("busy").hidden) cancel();
    else chooseTool(null);
    hideError();
    return;
  }
  if (!picture?.after || !$("busy").hidden || event.altKey) return;
  if (event.ctrlKey || event.metaKey) {
    if (event.key === "z" && task === "remove") undo();
    return;
  }
  const keys = {
    "+": () => viewer.larger(), "=": () => viewer.larger(), "-": () => viewer.smaller(),
    0: () => viewer.fit(), 1: () => viewer.actualSize(), d: download,
  };
  if (task === "remove") {
    keys.b = () => toggleTool("brush");
    keys.r = () => toggleTool("rectangle");
  }
  if (event.target.matches("select") || !keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

function canvasFrom(image) {
  const canvas = canvasOf(image.width, image.height);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

function addSamples() {
  $("samples").append(...Object.entries(SAMPLES).map(([name, label]) => {
    const button = document.createElement("button");
    const image = new Image();
    image.src = new URL(`samples/${name}.jpg`, import.meta.url);
    image.alt = `Sample: ${label}`;
    button.append(image);
    button.addEventListener("click", async () => {
      open(await (await fetch(image.src)).blob(), `${name}.jpg`);
    });
    return button;
  }));
}

async function start() {
  $("note").textContent = NOTE;
  show("api", hasApi);
  try {
    model = await getModel();
  } catch (error) {
    fail(error.message, start);
    return;
  }
  hideError();
  for (const input of document.querySelectorAll("input[name=task]")) {
    input.parentElement.hidden = !(input.value in model.tasks);
  }
  task = Object.keys(model.tasks)[0];
  document.querySelector(`input[name=task][value=${task}]`).checked = true;
  if (!$("samples").children.length) {
    addSamples();
    listen();
  }
}

start();
