// The file of tools.export: a ZIP archive with a description of the model and two graphs.

import { Failure } from "../failure.js";

const MANIFEST = "upocr.json";
const END = 0x06054b50; // signatures of records
const ENTRY = 0x02014b50;

/** Description and graphs, by name; throws Failure if something is missing or damaged. */
export async function readArchive(buffer) {
  try {
    const files = await unzip(buffer);
    const manifest = JSON.parse(new TextDecoder().decode(files[MANIFEST]));
    // Browsers compute digests on pages of this machine and of HTTPS only.
    for (const [name, digest] of crypto.subtle ? Object.entries(manifest.files) : []) {
      if (await digestOf(files[name]) !== digest) throw new Error(name);
    }
    return { manifest, files };
  } catch {
    throw new Failure("The model is damaged.");
  }
}

async function unzip(buffer) {
  const view = new DataView(buffer);
  let end = buffer.byteLength - 22;
  while (view.getUint32(end, true) !== END) end--;
  const files = {};
  let place = view.getUint32(end + 16, true);
  for (let left = view.getUint16(end + 10, true); left; left--) {
    if (view.getUint32(place, true) !== ENTRY) throw new Error("no entry");
    const [length, extra, comment] = [28, 30, 32].map((k) => view.getUint16(place + k, true));
    const name = new TextDecoder().decode(new Uint8Array(buffer, place + 46, length));
    files[name] = await contentOf(view, place);
    place += 46 + length + extra + comment;
  }
  return files;
}

async function contentOf(view, place) {
  const [isPacked, size] = [view.getUint16(place + 10, true), view.getUint32(place + 20, true)];
  const local = view.getUint32(place + 42, true);
  const start = local + 30 + view.getUint16(local + 26, true) + view.getUint16(local + 28, true);
  const bytes = new Blob([new Uint8Array(view.buffer, start, size)]).stream();
  const content = isPacked ? bytes.pipeThrough(new DecompressionStream("deflate-raw")) : bytes;
  return new Uint8Array(await new Response(content).arrayBuffer());
}

/** SHA-256 in hexadecimal digits. */
async function digestOf(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
