// The box on the page. No module: from a file, a browser would refuse it without a word.
(() => {
  const WORDS = [
    "hardly anything in common",
    "perhaps the same topic, another meaning",
    "some details in common",
    "roughly the same meaning",
    "the same meaning, or nearly",
  ];
  const folder = document.currentScript.src;
  const box = document.getElementById("tryit");
  const find = (name) => box.querySelector(`[data-tryit="${name}"]`);
  const [form, first, second] = ["form", "first", "second"].map(find);
  const [example, check, loading, said, bar] =
    ["example", "check", "loading", "said", "bar"].map(find);
  let worker = null;
  let asked = 0;
  let busy = false;

  if (location.protocol === "file:") {
    find("file").hidden = false;
    return;
  }
  form.hidden = false;

  /** Ask the worker, which is started by the first question; nothing is loaded before. */
  function ask(question) {
    worker ??= new Worker(new URL("worker.js", folder), { type: "module" });
    const id = ++asked;
    return new Promise((resolve, reject) => {
      worker.onerror = () => {
        worker = null;
        reject(new Error("this browser cannot run the program"));
      };
      worker.onmessage = ({ data }) => {
        if (data.id !== id) return;
        if ("loaded" in data) showLoading(data.loaded, data.total);
        else if ("error" in data) reject(new Error(data.error));
        else resolve(data.result);
      };
      worker.postMessage({ id, ...question });
    });
  }

  function showLoading(loaded, total) {
    const megabytes = (count) => (count / 1e6).toFixed(0);
    const words = loaded === total ? "Computing." : "Loading the model.";
    if (said.textContent !== words) said.textContent = words; // announced, so once
    loading.hidden = loaded === total;
    loading.querySelector("progress").value = loaded / total;
    loading.querySelector("span").textContent = `${megabytes(loaded)} of ${megabytes(total)} MB`;
  }

  /** Do one thing at a time, and say what came of it or why nothing did. */
  async function run(question, show) {
    if (busy) return;
    busy = true;
    bar.hidden = true;
    said.textContent = "Computing.";
    try {
      said.textContent = show(await ask(question));
    } catch (error) {
      said.textContent = `That did not work: ${error.message}. Try again, or reload the page.`;
    }
    loading.hidden = true;
    busy = false;
  }

  function showCosine({ cosine, levels, milliseconds }) {
    const words = WORDS[levels.filter((level) => cosine >= level).length];
    bar.hidden = false;
    bar.firstElementChild.style.width = `${100 * Math.max(0, cosine)}%`;
    return `Cosine ${cosine.toFixed(3)}: ${words}. Computed in ${milliseconds.toFixed(0)} ms.`;
  }

  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run({ task: "compare", first: first.value, second: second.value }, showCosine);
  });
  check.addEventListener("click", () =>
    run(
      { task: "check" },
      ({ pairs, difference }) =>
        `${pairs} pairs: the largest difference from Python's cosines is ${difference.toFixed(4)}.`,
    ),
  );
  example.addEventListener("change", () => {
    if (!example.value) return;
    [first.value, second.value] = example.value.split("|");
    for (const field of [first, second]) field.setCustomValidity("");
  });
  for (const field of [first, second]) {
    field.addEventListener("input", () => {
      example.value = "";
      field.setCustomValidity(field.value.trim() ? "" : "Write a sentence here.");
    });
    field.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
    });
  }
})();
