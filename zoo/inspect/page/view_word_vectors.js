// Word vectors: a map, the neighbors of a token, and arithmetic a - b + c among the tokens of the page.
views.word_vectors = function (root, found) {
  const { entries } = found, vectors = unpack(found.vectors), map = unpack(found.map), width = vectors.shape[1];
  if (!entries.length) return;
  let at = 0;
  const named = entries.map((entry) => entry.text);
  const plane = el("div", { class: "scroll" }), near = el("ol", { class: "candidates" }), title = el("h3", {});
  const cosine = (i, sum) => {
    let dot = 0, size = 0;
    for (let k = 0; k < width; k++) { dot += vectors.at(i, k) * sum[k]; size += sum[k] * sum[k]; }
    return dot / Math.sqrt(size || 1);
  };
  const row = (text, value) => el("li", {}, el("bdi", { class: "chip" }, visible(text)),
    el("span", { class: "track" }, el("i", { style: `width:${100 * Math.max(0, value)}%` })), el("span", { class: "value" }, number(value, 3)));

  function drawNear() {
    replace(title, `${t("views.word_vectors.near")} `, el("bdi", { class: "chip" }, visible(named[at])));
    const entry = entries[at];
    const list = entry.neighbors ? entry.neighbors.map(([id, value]) => [word(id).text, value])
      : entries.map((_, i) => i).filter((i) => i !== at).map((i) => [named[i], cosine(i, Array.from({ length: width }, (_, k) => vectors.at(at, k)))])
        .sort((a, b) => b[1] - a[1]).slice(0, 6);
    replace(near, ...list.map(([text, value]) => row(text, value)));
    plane.querySelectorAll("[data-entry]").forEach((mark) => mark.classList.toggle("now", +mark.dataset.entry === at));
  }
  function drawMap() {
    const W = 720, H = 420, xs = entries.map((_, i) => map.at(i, 0)), ys = entries.map((_, i) => map.at(i, 1));
    const place = (value, all, size) => 40 + ((value - Math.min(...all)) * (size - 80)) / (Math.max(...all) - Math.min(...all) || 1);
    const chart = el("svg:svg", { viewBox: `0 0 ${W} ${H}`, class: "plane", role: "img", "aria-label": t("views.word_vectors.title") });
    entries.forEach((entry, i) => chart.append(el("svg:text", {
      x: place(xs[i], xs, W), y: H - place(ys[i], ys, H), "text-anchor": "middle", "data-entry": i,
      class: entry.neighbors ? "own" : "", onclick: () => { at = i; drawNear(); },
    }, visible(named[i]))));
    replace(plane, chart);
    drawNear();
  }

  // The words that can be added; first those of the sum that was asked for, if all are on the page.
  const words = entries.map((_, i) => i).filter((i) => entries[i].ids.length);
  const asked = named.map((text) => text.match(/^([^-+]+)-([^-+]+)\+([^-+]+)$/)).find(Boolean);
  const terms = (asked || []).slice(1).map((term) => words.find((i) => named[i].trim() === term));
  const first = terms.length && !terms.includes(undefined) ? terms : [0, 1, 2].map((n) => words[Math.min(n, words.length - 1)]);
  const pickers = ["a", "b", "c"].map((name, n) => el("select", { "aria-label": name, onchange: solve },
    ...words.map((i) => el("option", { value: i, selected: i === first[n] }, visible(named[i])))));
  const answers = el("ol", { class: "candidates" });
  function solve() {
    const [a, b, c] = pickers.map((input) => +input.value);
    const sum = Array.from({ length: width }, (_, k) => vectors.at(a, k) - vectors.at(b, k) + vectors.at(c, k));
    const list = words.map((i) => [i, cosine(i, sum)]).filter(([i]) => ![a, b, c].includes(i)).sort((x, y) => y[1] - x[1]).slice(0, 6);
    replace(answers, ...list.map(([i, value]) => row(named[i], value)));
  }
  root.append(plane, title, near, say("h3", "views.word_vectors.arithmetic"),
    el("p", { class: "controls" }, pickers[0], " − ", pickers[1], " + ", pickers[2], " ≈"), answers,
    say("p", "views.word_vectors.note", { count: entries.length }, { class: "note" }));
  onLanguage(drawMap);
  solve();
};
