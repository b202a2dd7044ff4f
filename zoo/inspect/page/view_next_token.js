// The loop of generation: candidates of each step, and what would have been drawn with other settings.
views.next_token = function (root, steps) {
  const settings = { ...data.sampling };
  let at = 0, timer = null;
  const N = (step) => step.candidates.length;

  /** Shares of the candidates and of all other tokens after temperature, top-k and top-p, as sampling computes them. */
  function shares(step, { temperature, top_k, top_p }) {
    const order = step.candidates.map((_, i) => i).sort((a, b) => step.candidates[b].logit - step.candidates[a].logit);
    const grid = Math.min(19, Math.max(0, Math.round(temperature * 10) - 1));
    let weight = step.candidates.map((one) => Math.exp(one.logit / temperature));
    let rest = Math.exp(step.rest[grid]);
    if (top_k !== null && top_k <= N(step)) {
      const least = weight[order[top_k - 1]];
      weight = weight.map((one) => (one < least ? 0 : one));
      rest = 0;
    }
    let total = rest + weight.reduce((a, b) => a + b, 0), before = 0;
    if (top_p !== null && top_p < 1) {
      const kept = weight.map(() => 0);
      order.forEach((i, rank) => {
        if (rank === 0 || before / total < top_p) kept[i] = weight[i];
        before += weight[i];
      });
      if (before / total >= top_p) rest = 0;
      weight = kept;
      total = rest + weight.reduce((a, b) => a + b, 0);
    }
    return { order, share: weight.map((one) => one / total), rest: rest / total };
  }

  /** The point between 0 and 1 that draws the chosen token at the settings that wrote the text. */
  function pointOf(step) {
    const found = shares(step, data.sampling);
    let before = 0;
    for (const i of found.order) {
      if (i === step.chosen) return before + found.share[i] / 2;
      before += found.share[i];
    }
    return before;
  }

  function drawn(found, point) {
    let before = 0;
    for (const i of found.order) {
      before += found.share[i];
      if (point < before && found.share[i] > 0) return i;
    }
    return found.rest > 0 ? null : found.order.filter((i) => found.share[i] > 0).pop();
  }

  const text = el("p", { class: "text", dir: "auto" }), list = el("ol", { class: "candidates" }), bar = el("div", { class: "bar" });
  const verdict = el("p", { class: "verdict", "aria-live": "polite" }), numberOf = el("span", { class: "count" });
  const step = slider("step", 1, steps.length, 1, 1, (value) => go(value - 1));
  const play = say("button", "play", {}, { type: "button", onclick: () => (timer ? stop() : start()) });
  function stop() { clearInterval(timer); timer = null; }
  function start() {
    if (at === steps.length - 1) go(0);
    timer = setInterval(() => (at < steps.length - 1 ? go(at + 1) : stop()), 700);
  }
  function go(to) { at = to; step.input.value = to + 1; step.element.querySelector("output").textContent = to + 1; draw(); }

  function draw() {
    const now = steps[at], found = shares(now, settings), point = pointOf(now), would = drawn(found, point);
    const chosen = now.candidates[now.chosen];
    replace(text, el("span", {}, at > 0 ? steps[at - 1].text : data.text), el("mark", {}, label(chosen.label)));
    const largest = Math.max(...found.share, 1e-9);
    replace(list, ...found.order.map((i) => {
      const one = now.candidates[i], width = `${(100 * found.share[i]) / largest}%`;
      return el("li", { class: `${i === now.chosen ? "chosen" : ""} ${i === would ? "would" : ""}` },
        chip(one.label), el("span", { class: "track" }, el("i", { style: `width:${width}` })),
        el("span", { class: "value" }, percent(found.share[i])), el("span", { class: "quiet" }, percent(one.probability)));
    }));
    let left = 0;
    replace(bar, ...found.order.map((i) => {
      const piece = el("span", { class: i === would ? "would" : "", style: `width:${100 * found.share[i]}%` },
        found.share[i] > 0.06 ? el("bdi", {}, label(now.candidates[i].label)) : null);
      left += found.share[i];
      return piece;
    }), found.rest > 0.02 ? el("span", { class: "rest", style: `width:${100 * found.rest}%` }, found.rest > 0.15 ? t("views.next_token.others") : null) : null,
    el("b", { style: `left:${100 * point}%` }));
    numberOf.textContent = t("views.next_token.entropy", { bits: number(now.entropy, 2) });
    const other = would === null ? t("views.next_token.another") : label(now.candidates[would].label);
    verdict.textContent = would === now.chosen
      ? t("views.next_token.same", { token: label(chosen.label) })
      : t("views.next_token.differs", { token: label(chosen.label), other });
  }

  const most = Math.max(...steps.map(N));
  const temperature = slider("views.next_token.temperature", 0.1, 2, 0.1, settings.temperature,
    (value) => { settings.temperature = value; draw(); }, (value) => value.toFixed(1));
  const topK = slider("views.next_token.top_k", 1, most + 1, 1, settings.top_k === null ? most + 1 : Math.min(settings.top_k, most),
    (value) => { settings.top_k = value > most ? null : value; draw(); }, (value) => (value > most ? t("all") : value));
  const topP = slider("views.next_token.top_p", 0.05, 1, 0.05, settings.top_p === null ? 1 : settings.top_p,
    (value) => { settings.top_p = value; draw(); }, (value) => value.toFixed(2));
  root.append(
    text,
    el("div", { class: "controls" },
      say("button", "back", {}, { type: "button", onclick: () => { stop(); go(Math.max(0, at - 1)); } }),
      say("button", "forward", {}, { type: "button", onclick: () => { stop(); go(Math.min(steps.length - 1, at + 1)); } }),
      play, step.element),
    el("div", { class: "controls" }, temperature.element, topK.element, topP.element),
    el("p", { class: "columns quiet" }, say("span", "views.next_token.columns"), " ", numberOf),
    list, bar, verdict,
  );
  onLanguage(draw);
};
