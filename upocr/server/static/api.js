// The API of this server.

const PASSING = [0, 408, 429, 503]; // statuses that a second try may not meet

/** A sentence for the user. */
export class Failure extends Error {
  constructor(sentence, status = 0) {
    super(sentence);
    this.mayPass = PASSING.includes(status);
  }
}

export async function getModel() {
  return (await reached(fetch("/v1/model"))).json();
}

/** Send a form and resolve to the JSON of the result; throws Failure with a sentence. */
export async function run(route, fields, { signal, onProgress }) {
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
export function fileOf({ type, data }) {
  const bytes = Uint8Array.fromBase64?.(data) ?? Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
  return new Blob([bytes], { type });
}
