// BERT with mean pooling, from token numbers to a sentence vector: plain JavaScript, one text at a
// time. Weights stay in 8 bits; the scale of each group of neighbours in a row is applied to its sum.

const BLOCK = 4; // tokens that share each weight read from memory

export class Encoder {
  /**
   * @param {object} model The model's description: `architecture` and `tensors`.
   * @param {ArrayBuffer} buffer The weights.
   */
  constructor(model, buffer) {
    this.size = model.architecture;
    this.weights = {};
    for (const [name, { shape, offset, scales, group }] of Object.entries(model.tensors)) {
      const count = shape.reduce((product, length) => product * length, 1);
      this.weights[name] =
        scales === null
          ? new Float32Array(buffer, offset, count)
          : {
              steps: new Int8Array(buffer, offset, count),
              scales: new Float32Array(buffer, scales, count / group),
              group,
            };
    }
  }

  /** The sentence vector of length 1 of a text's token numbers. */
  encode(numbers) {
    const { hidden, intermediate, layers } = this.size;
    const tokens = numbers.length;
    // Rounded up to whole blocks; what is computed there is never read.
    const room = Math.ceil(tokens / BLOCK) * BLOCK;
    const state = new Float32Array(room * hidden);
    const [query, key, value, mixed, out] = Array.from(
      { length: 5 },
      () => new Float32Array(room * hidden),
    );
    const wide = new Float32Array(room * intermediate);
    this.embed(numbers, state);
    for (let layer = 0; layer < layers; layer++) {
      const part = (name) => `encoder.layer.${layer}.${name}`;
      this.linear(part("attention.self.query"), state, query);
      this.linear(part("attention.self.key"), state, key);
      this.linear(part("attention.self.value"), state, value);
      this.attend(query, key, value, tokens, mixed);
      this.linear(part("attention.output.dense"), mixed, out);
      this.addAndNormalise(part("attention.output.LayerNorm"), state, out, tokens);
      this.linear(part("intermediate.dense"), state, wide);
      for (let i = 0; i < tokens * intermediate; i++) wide[i] = gelu(wide[i]);
      this.linear(part("output.dense"), wide, out);
      this.addAndNormalise(part("output.LayerNorm"), state, out, tokens);
    }
    return meanOfLengthOne(state, tokens, hidden);
  }

  /** Words plus positions, normalised. */
  embed(numbers, state) {
    const { hidden } = this.size;
    const words = this.weights["embeddings.word_embeddings.weight"];
    const positions = this.weights["embeddings.position_embeddings.weight"];
    numbers.forEach((number, position) => {
      for (let i = 0; i < hidden; i++) {
        state[position * hidden + i] =
          weightAt(words, number * hidden + i) + weightAt(positions, position * hidden + i);
      }
    });
    const nothing = new Float32Array(state.length);
    this.addAndNormalise("embeddings.LayerNorm", state, nothing, numbers.length);
  }

  /** out = input W' + b, where W has a row for each number that comes out. */
  linear(name, input, out) {
    const { steps, scales, group } = this.weights[`${name}.weight`];
    const bias = this.weights[`${name}.bias`];
    const outputs = bias.length;
    const inputs = steps.length / outputs;
    for (let token = 0; token < out.length / outputs; token += BLOCK) {
      const a = token * inputs;
      const b = a + inputs;
      const c = b + inputs;
      const d = c + inputs;
      for (let row = 0; row < outputs; row++) {
        let totalA = bias[row];
        let totalB = totalA;
        let totalC = totalA;
        let totalD = totalA;
        const start = row * inputs;
        for (let first = 0; first < inputs; first += group) {
          let sumA = 0;
          let sumB = 0;
          let sumC = 0;
          let sumD = 0;
          for (let i = first; i < first + group; i++) {
            const weight = steps[start + i];
            sumA += weight * input[a + i];
            sumB += weight * input[b + i];
            sumC += weight * input[c + i];
            sumD += weight * input[d + i];
          }
          const scale = scales[(start + first) / group];
          totalA += scale * sumA;
          totalB += scale * sumB;
          totalC += scale * sumC;
          totalD += scale * sumD;
        }
        const at = token * outputs + row;
        out[at] = totalA;
        out[at + outputs] = totalB;
        out[at + 2 * outputs] = totalC;
        out[at + 3 * outputs] = totalD;
      }
    }
  }

  /** Softmax attention, head by head. */
  attend(query, key, value, tokens, out) {
    const { hidden, heads } = this.size;
    const width = hidden / heads;
    const scores = new Float64Array(tokens);
    out.fill(0);
    for (let first = 0; first < hidden; first += width) {
      for (let from = 0; from < tokens; from++) {
        const at = from * hidden + first;
        let largest = -Infinity;
        for (let to = 0; to < tokens; to++) {
          let dot = 0;
          for (let i = 0; i < width; i++) dot += query[at + i] * key[to * hidden + first + i];
          scores[to] = dot / Math.sqrt(width);
          largest = Math.max(largest, scores[to]);
        }
        let total = 0;
        for (let to = 0; to < tokens; to++) total += scores[to] = Math.exp(scores[to] - largest);
        for (let to = 0; to < tokens; to++) {
          const share = scores[to] / total;
          for (let i = 0; i < width; i++) out[at + i] += share * value[to * hidden + first + i];
        }
      }
    }
  }

  /** state = LayerNorm(state + change), token by token. */
  addAndNormalise(name, state, change, tokens) {
    const { hidden, epsilon } = this.size;
    const weight = this.weights[`${name}.weight`];
    const bias = this.weights[`${name}.bias`];
    for (let at = 0; at < tokens * hidden; at += hidden) {
      let sum = 0;
      for (let i = 0; i < hidden; i++) sum += state[at + i] += change[at + i];
      const mean = sum / hidden;
      let squares = 0;
      for (let i = 0; i < hidden; i++) squares += (state[at + i] - mean) ** 2;
      const scale = 1 / Math.sqrt(squares / hidden + epsilon);
      for (let i = 0; i < hidden; i++) {
        state[at + i] = (state[at + i] - mean) * scale * weight[i] + bias[i];
      }
    }
  }
}

/** The dot product: the cosine, of vectors of length 1. */
export function cosine(one, other) {
  return one.reduce((sum, number, i) => sum + number * other[i], 0);
}

function weightAt({ steps, scales, group }, i) {
  return steps[i] * scales[Math.floor(i / group)];
}

/** x times the normal distribution's share below x; its error is at most 1.5e-7 of x. */
function gelu(x) {
  // Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26.
  const z = Math.abs(x) / Math.SQRT2;
  const t = 1 / (1 + 0.3275911 * z);
  const series =
    t *
    (0.254829592 +
      t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - series * Math.exp(-z * z);
  return 0.5 * x * (1 + (x < 0 ? -erf : erf));
}

function meanOfLengthOne(state, tokens, hidden) {
  const vector = new Float64Array(hidden);
  for (let i = 0; i < tokens * hidden; i++) vector[i % hidden] += state[i];
  const length = Math.sqrt(cosine(vector, vector));
  return vector.map((number) => number / length);
}
