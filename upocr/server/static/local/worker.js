// The worker: loads the network once and takes one picture after another.

import { Failure } from "../failure.js";
import { analyse, pixelsOf, windowsOf } from "./analysis.js";
import { CPU, Network, bestProvider } from "./network.js";

let wanted = null; // number of the run that the page waits for
let last = Promise.resolve(); // the run before: the network does one thing at a time
let network = null;

class Cancelled extends Error {}

onmessage = ({ data }) => {
  wanted = data.id;
  if (data.file) last = last.then(() => answer(data));
};

async function answer({ id, file, model, base }) {
  try {
    const image = await pixelsOf(file, model.limits.max_pixels);
    const result = await computed(image, id, model, base);
    const { painted, likelihood, classes } = result;
    const { width, height } = image;
    const buffers = [painted, likelihood, classes].flatMap((map) => map?.buffer ?? []);
    const { provider } = network;
    postMessage({ id, kind: "result", data: { width, height, provider, ...result } }, buffers);
  } catch (error) {
    if (error instanceof Cancelled) return;
    const { message, status } = error; // only a Failure has a status
    postMessage({ id, kind: "error", data: { message, status } });
  }
}

/** The result; where the graphics processor fails, the CPU starts again. */
async function computed(image, id, model, base) {
  const load = (provider) => Network.load(base, model, provider, (done, total) => {
    postMessage({ id: wanted, kind: "load", data: { done, total } });
  });
  const provider = network?.provider ?? await bestProvider();
  try {
    network ??= await load(provider);
    return await run(image, id, model);
  } catch (error) {
    if (provider === CPU || error instanceof Failure || error instanceof Cancelled) throw error;
    network = await load(CPU);
    return await run(image, id, model);
  }
}

async function run(image, id, model) {
  const total = windowsOf(image.height, image.width, model.window);
  const tasks = Object.values(model.tasks);
  let done = 0;
  const progress = () => postMessage({ id, kind: "progress", data: { done, total } });
  progress();
  const predict = async (values, height, width) => {
    const planes = await network.predict(values, height, width, tasks, () => pause(id));
    done++;
    progress();
    return planes;
  };
  return analyse(image, tasks, model.window, network.manifest.verdict, predict);
}

/** Let messages in, and stop if the page no longer waits. */
async function pause(id) {
  await new Promise((resolve) => { setTimeout(resolve); });
  if (wanted !== id) throw new Cancelled();
}
