// Loads the model when first asked, and computes beside the page, which stays responsive.
// Asked `{id, task, first, second}`, it answers `{id, result}` or `{id, error}`, and
// `{id, loaded, total}` (bytes) while the model is on its way.

import { Encoder, cosine } from "./encoder.js";
import { Tokenizer } from "./tokenizer.js";

let model = null;

const tasks = {
  async compare({ id, first, second }) {
    const { similarity, levels } = await ready(id);
    const began = performance.now();
    const found = similarity(first, second);
    return { cosine: found, levels, milliseconds: performance.now() - began };
  },

  async check({ id }) {
    const { similarity, check } = await ready(id);
    const differences = check.pairs.map(([first, second], i) =>
      Math.abs(similarity(first, second) - check.cosines[i]),
    );
    return { pairs: differences.length, difference: Math.max(...differences) };
  },
};

self.onmessage = async ({ data }) => {
  try {
    self.postMessage({ id: data.id, result: await tasks[data.task](data) });
  } catch (error) {
    self.postMessage({ id: data.id, error: error.message });
  }
};

/** The model, loaded once; after a failure the next question tries again. */
function ready(id) {
  model ??= load((loaded, total) => self.postMessage({ id, loaded, total }));
  model.catch(() => (model = null));
  return model;
}

async function load(tell) {
  const described = await (await get("model.json", { cache: "no-cache" })).json();
  // The address changes with the weights, so that whatever the browser has kept is right.
  const kept = { cache: "force-cache" };
  const version = described.sha256.slice(0, 8);
  const vocabulary = await (await get(`vocabulary.txt?${version}`, kept)).text();
  const weights = await bytes(await get(`weights.bin?${version}`, kept), described.bytes, tell);
  const tokenizer = new Tokenizer(vocabulary.split("\n"), described.tokenizer);
  const encoder = new Encoder(described, weights);
  const encode = (text) => encoder.encode(tokenizer.encode(text));
  const { check, levels } = described;
  return { similarity: (one, other) => cosine(encode(one), encode(other)), check, levels };
}

async function get(name, settings) {
  const response = await fetch(new URL(name, import.meta.url), settings);
  if (!response.ok) {
    throw new Error(`${name.split("?")[0]}: ${response.status} ${response.statusText}`);
  }
  return response;
}

async function bytes(response, total, tell) {
  const content = new Uint8Array(total);
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read();
    if (done) break;
    if (loaded + value.length > total) throw new Error("the weights are longer than they should be");
    content.set(value, loaded);
    loaded += value.length;
    tell(loaded, total);
  }
  if (loaded < total) throw new Error(`the weights are cut short at ${loaded} of ${total} bytes`);
  return content.buffer;
}
