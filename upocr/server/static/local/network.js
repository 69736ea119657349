// The network, run by ONNX Runtime on the graphics processor (WebGPU) or the CPU (WebAssembly).

import { Failure } from "../failure.js";
import { readArchive } from "./archive.js";
import { decoderTables, encoderTables } from "./layout.js";

const FEATURES = ["features", "lateral16", "lateral8", "lateral4"]; // of the encoder
const MAX_THREADS = 8;
const TOLERANCE = 0.01; // of a graphics processor, in values of 0 to 1
const SIDE = 64; // of the picture that checks it
const GPU = "webgpu";
const MISSING = "The model cannot be loaded.";
export const CPU = "wasm";

export class Network {
  /** runtime: the module of ONNX Runtime; manifest: of the archive; sessions: by graph. */
  constructor(runtime, provider, manifest, sessions) {
    Object.assign(this, { runtime, provider, manifest, sessions });
    this.tables = new Map(); // by the size of the window
  }

  /**
   * Load the network; on a graphics processor if there is one that computes correctly.
   * base: address of the site; model: its description; onLoad(bytes, all bytes).
   */
  static async load(base, model, provider, onLoad) {
    const files = model.runtime[provider];
    const all = model.archive.size + files.size;
    let before = 0;
    const get = async (name, size) => {
      const bytes = await fetched(new URL(name, base), size, (done) => onLoad(before + done, all));
      before += size;
      return bytes;
    };
    const { manifest, files: graphs } = await readArchive(await get(model.archive.file, model.archive.size));
    const runtime = await import(new URL(files.module, base)).catch(() => { throw new Failure(MISSING); });
    runtime.env.logLevel = "error";
    runtime.env.wasm.wasmPaths = new URL("./", new URL(files.module, base)).href;
    runtime.env.wasm.wasmBinary = await get(files.binary, files.size);
    runtime.env.wasm.numThreads = self.crossOriginIsolated
      ? Math.min(MAX_THREADS, navigator.hardwareConcurrency) : 1;
    const sessions = {};
    for (const graph of ["encoder", "decoder"]) {
      // Threads that spin while they wait steal time from each other as soon as cores are shared.
      const extra = { session: { intra_op: { allow_spinning: "0" } } };
      const options = { executionProviders: [provider], extra };
      sessions[graph] = await runtime.InferenceSession.create(graphs[`${graph}.onnx`], options);
    }
    const network = new Network(runtime, provider, manifest, sessions);
    if (provider === GPU) await network.check(model.check);
    return network;
  }

  /** Planar RGB in [0, 1] -> three planes per task; pause() is awaited between graphs. */
  async predict(values, height, width, tasks, pause) {
    const { Tensor } = this.runtime;
    const tables = this.tablesOf(height, width);
    const images = new Tensor("float32", values, [1, 3, height, width]);
    const features = await this.sessions.encoder.run({ images, ...tables.encoder });
    const inputs = Object.fromEntries(FEATURES.map((name) => [name, features[name]]));
    const planes = [];
    for (const task of tasks) {
      await pause();
      const row = new Tensor("int64", BigInt64Array.of(BigInt(this.manifest.tasks.indexOf(task))), [1]);
      const { image } = await this.sessions.decoder.run({ task: row, ...inputs, ...tables.decoder });
      planes.push(...planesOf(image.data, height * width));
    }
    return planes;
  }

  tablesOf(height, width) {
    const key = `${height} ${width}`;
    if (!this.tables.has(key)) {
      const { encoder, decoder } = this.manifest;
      this.tables.set(key, {
        encoder: this.tensors(encoderTables(height, width, encoder)),
        decoder: this.tensors(decoderTables(height, width, decoder)),
      });
    }
    return this.tables.get(key);
  }

  tensors(tables) {
    return Object.fromEntries(Object.entries(tables).map(([name, { shape, numbers }]) =>
      [name, new this.runtime.Tensor("int64", BigInt64Array.from(numbers, BigInt), shape)]));
  }

  /** Throw an error unless the network answers a test pattern as the exporter's did. */
  async check({ tasks, step, expected }) {
    const pattern = Float32Array.from({ length: 3 * SIDE * SIDE }, (_, i) => ((37 * i) % 256) / 255);
    const planes = await this.predict(pattern, SIDE, SIDE, tasks, () => {});
    const values = planes.flatMap((plane) => [...plane.filter((_, i) => i % step === 0)]);
    const isRight = values.length === expected.length
      && values.every((value, i) => Math.abs(value - expected[i]) < TOLERANCE);
    if (!isRight) throw new Error("the graphics processor computes something else");
  }
}

/** Where to run: on a graphics processor that is none in software, if this browser has one. */
export async function bestProvider() {
  const isSupported = navigator.gpu && "Suspending" in WebAssembly;
  const adapter = isSupported && await navigator.gpu.requestAdapter().catch(() => null);
  return adapter && !adapter.info?.isFallbackAdapter ? GPU : CPU;
}

/** Channels of an output, cut to [0, 1]. */
function planesOf(values, size) {
  for (let i = 0; i < values.length; i++) {
    if (!Number.isFinite(values[i])) throw new Error("the network's output is not finite");
    values[i] = Math.min(1, Math.max(0, values[i]));
  }
  return [0, 1, 2].map((channel) => values.subarray(channel * size, (channel + 1) * size));
}

/** The bytes of a file of the site. */
async function fetched(url, size, onBytes) {
  const response = await fetch(url).catch(() => null);
  if (!response?.ok) throw new Failure(MISSING);
  const bytes = new Uint8Array(size);
  let done = 0;
  for (const reader = response.body.getReader(); ;) {
    const { done: isEnd, value } = await reader.read().catch(() => ({ done: true }));
    if (isEnd) break;
    if (done + value.length > size) throw new Failure("The model is damaged.");
    bytes.set(value, done);
    done += value.length;
    onBytes(done);
  }
  if (done < size) throw new Failure(MISSING);
  return bytes.buffer;
}
