"use strict";
// The page of triplets: load a source's files, filter, page. Data come as scripts that call
// simgptTriplets(name, content); a line is
// [sentence, similar, dissimilar, cosine x 1000 with either, numbers of verdicts].

(() => {
  const PAGE = 20;
  const WAIT = 150; // ms after a key before the list changes
  const HERE = document.currentScript.src;
  const form = document.getElementById("explorer");
  const [list, status] = [".explorer-list", ".explorer-status"].map((name) => form.querySelector(name));
  const pages = form.querySelector(".explorer-pages");
  const pieces = new Map(); // lines by file, as long as the page is open
  let index, shown = [], found = [], page = 0, timer;

  window.simgptTriplets = (name, content) => {
    if (name === "index") start(content);
    else pieces.set(name, content);
  };

  function start(content) {
    index = content;
    const megabytes = (bytes) => `${(bytes / 1e6).toFixed(1)} MB`;
    const { source, verdict } = form.elements;
    for (const { name, count, bytes } of index.sources) {
      const label = `${name.replaceAll("_", " ")}: ${told(count)} triplets, ${megabytes(bytes)}`;
      source.add(new Option(label, name));
    }
    source.add(new Option(`all: ${told(index.shown)} triplets, ${megabytes(index.bytes)}`, "all"));
    verdict.add(new Option("any or none", "any"));
    verdict.add(new Option("none", "none"));
    index.verdicts.forEach(({ name, count }, number) => {
      if (count) verdict.add(new Option(`${name.replaceAll("_", " ")} (${told(count)})`, number));
    });
    form.hidden = false;
  }

  function told(count) {
    return count.toLocaleString("en");
  }

  /** Load a file once. */
  function fetchPiece(name) {
    if (pieces.has(name)) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      script.src = new URL(`explorer/${name}.js`, HERE);
      script.onload = resolve;
      script.onerror = () => reject(new Error(`${name}.js could not be loaded`));
      document.head.append(script);
    });
  }

  async function load() {
    const chosen = form.elements.source.value;
    const sources = index.sources.filter(({ name }) => chosen === "all" || name === chosen);
    const names = sources.flatMap(({ files }) => files);
    const button = form.querySelector("[type=submit]");
    button.setAttribute("aria-disabled", "true"); // and not `disabled`, which would lose the focus
    try {
      for (const [number, name] of names.entries()) {
        status.textContent = `Loading file ${number + 1} of ${names.length}.`;
        await fetchPiece(name);
      }
      shown = sources.flatMap(({ name, files }) =>
        files.flatMap((file) => pieces.get(file).map((line) => ({ line, source: name }))));
      form.querySelector("fieldset").disabled = false;
      filter();
    } catch (error) {
      status.textContent = `${error.message}; try again.`;
    } finally {
      button.removeAttribute("aria-disabled");
    }
  }

  /** The cosines that a pair of fields lets through, x 1000; an empty field lets all through. */
  function range(name) {
    const end = (which, otherwise) => {
      const value = form.elements[`${name}-${which}`].valueAsNumber;
      return Number.isNaN(value) ? otherwise : Math.round(1000 * value);
    };
    return [end("from", -Infinity), end("to", Infinity)];
  }

  function filter() {
    const words = form.elements.words.value.toLowerCase().split(/\s+/).filter(Boolean);
    const verdict = form.elements.verdict.value;
    const similar = range("similar"), dissimilar = range("dissimilar");
    const within = (cosine, [from, to]) => cosine >= from && cosine <= to;
    found = shown.filter(({ line: [sentence, good, bad, near, far, verdicts] }) => {
      if (!within(near, similar) || !within(far, dissimilar)) return false;
      if (verdict === "none" && verdicts.length) return false;
      if (!["any", "none"].includes(verdict) && !verdicts.includes(Number(verdict))) return false;
      const text = `${sentence}\n${good}\n${bad}`.toLowerCase();
      return words.every((word) => text.includes(word));
    });
    const order = form.elements.order.value;
    if (order !== "file") {
      const sign = order === "hard" ? 1 : -1;
      const gap = ({ line }) => line[3] - line[4];
      found.sort((one, two) => sign * (gap(one) - gap(two)));
    }
    page = 0;
    show();
  }

  function show() {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    const lines = found.slice(page * PAGE, (page + 1) * PAGE);
    list.start = page * PAGE + 1;
    list.replaceChildren(...lines.map(item));
    pages.hidden = last === 0;
    form.elements.previous.setAttribute("aria-disabled", page === 0);
    form.elements.next.setAttribute("aria-disabled", page === last);
    status.textContent = `${told(found.length)} of ${told(shown.length)} triplets`
      + (found.length ? `; page ${told(page + 1)} of ${told(last + 1)}.` : ".");
  }

  function turn(by) {
    const target = page + by;
    if (target < 0 || target * PAGE >= found.length) return;
    page = target;
    show();
  }

  function element(tag, text, name = "") {
    const made = document.createElement(tag);
    made.textContent = text;
    if (name) made.className = name;
    return made;
  }

  function item({ line: [sentence, similar, dissimilar, near, far, verdicts], source }) {
    const [made, pairs] = [document.createElement("li"), document.createElement("dl")];
    for (const [name, text, cosine] of [["similar", similar, near], ["dissimilar", dissimilar, far]]) {
      pairs.append(element("dt", `${name}, cosine ${(cosine / 1000).toFixed(2)}`), element("dd", text));
    }
    const names = verdicts.map((number) => index.verdicts[number].name);
    const facts = [source, ...names].join(", ").replaceAll("_", " ");
    made.append(element("p", sentence, "explorer-sentence"), pairs, element("p", facts, "explorer-facts"));
    return made;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault(); // also for Enter in a field
    if (event.submitter?.getAttribute("aria-disabled") !== "true") load();
  });
  form.querySelector("fieldset").addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(filter, WAIT);
  });
  form.elements.previous.addEventListener("click", () => turn(-1));
  form.elements.next.addEventListener("click", () => turn(1));
})();
