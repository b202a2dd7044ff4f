// Parts that are switched off one at a time: a grid of layers and parts, a list of the largest changes, and texts.
views.ablation = function (root, found) {
  const rows = [...new Set(found.ablations.map(({ target }) => `${target.stack}|${target.layer}`))].map((key) => {
    const [stack, layer] = key.split("|");
    return { stack, layer: layer === "null" ? null : +layer };
  }).sort((a, b) => b.stack.localeCompare(a.stack) || (a.layer === null ? 1e9 : a.layer) - (b.layer === null ? 1e9 : b.layer));
  const most = Math.max(...found.ablations.map((one) => Math.abs(one.change || 0)), 1e-9);
  const table = el("table", { class: "lens ablations" }), list = el("ol", { class: "candidates largest" }), detail = el("div", { class: "detail" });
  let at = 0;
  const signed = (value) => value === null ? t("views.ablation.overflow") : (value < 0 ? "−" : "+") + number(Math.abs(value), 3);
  const part = (target) => target.kind === "head"
    ? t("views.ablation.head", { part: t(`sublayers.${target.part}`), number: target.number + 1 })
    : target.kind === "sublayer" ? t(`sublayers.${target.part}`)
    : t(`views.ablation.parts.${target.part}`, { number: (target.number || 0) + 1 });
  const place = (target) => [data.source ? t(`stacks.${target.stack}`) : "", target.layer === null ? ""
    : t("views.stream.layer", { number: target.layer + 1 })].filter((text) => text).join(language === "zh" ? "" : " ");
  const name = (target) => place(target) ? t("views.ablation.name", { place: place(target), part: part(target) }) : part(target);

  function drawTable() {
    replace(table, el("tbody", {}, ...rows.map((row) => el("tr", {}, el("th", {}, place(row)),
      ...found.ablations.map((one, i) => [one, i]).filter(([{ target }]) => target.stack === row.stack && target.layer === row.layer)
        .sort(([a], [b]) => order(a.target) - order(b.target)).map(([one, i]) => cell(one, i))))));
  }
  const order = (target) => 1000 * ["attention", "cross", "ffn", "norm", "residual"].indexOf(target.part) + (target.kind === "head" ? 1 : 0) + (target.number || 0);
  function cell(one, i) {
    const value = one.change === null ? 1 : one.change / most;
    const dark = theme.matches ? Math.abs(value) > 0.35 : Math.abs(value) > 0.3;
    const ink = dark ? (theme.matches ? "#101114" : "#fff") : "inherit";
    const text = one.target.kind === "head" ? `${one.target.number + 1}` : part(one.target);
    return el("td", {
      style: `background:rgb(${shade(value)});color:${ink}`, "data-part": i, onclick: () => choose(i), tabindex: 0,
      onkeydown: (event) => { if (event.key === "Enter") choose(i); },
      onpointermove: (event) => showTip(event, [name(one.target), `${t("views.ablation.change")} ${signed(one.change)}`]), onpointerleave: hideTip,
    }, text);
  }
  function drawList() {
    replace(list, ...found.ablations.slice(0, 12).map((one, i) => el("li", {},
      el("button", { type: "button", "data-part": i, onclick: () => choose(i) }, name(one.target)),
      el("span", { class: "track" }, el("i", {
        class: one.change < 0 ? "falls" : "", style: `width:${one.change === null ? 100 : (100 * Math.abs(one.change)) / most}%`,
      })),
      el("span", { class: "value" }, signed(one.change)))));
  }
  function drawDetail() {
    const one = found.ablations[at];
    const shown = (key, text) => [el("p", { class: "note" }, t(key)), el("p", { class: "text" }, text === "" ? t("views.ablation.nothing") : text.replace(/\n/g, MARKS["\n"]))];
    replace(detail,
      el("h3", {}, t("views.ablation.without", { name: name(one.target) })),
      el("p", {}, t("views.ablation.losses", { loss: one.loss === null ? t("views.ablation.overflow") : number(one.loss, 3), change: signed(one.change) }), " ",
        el("code", {}, one.target.name)),
      ...(found.text === null ? [] : shown("views.ablation.whole", found.text)),
      ...(one.text === null ? [] : shown("views.ablation.writes", one.text)));
  }
  function choose(i) {
    at = i;
    for (const mark of root.querySelectorAll("[data-part]")) {
      mark.classList.toggle("now", +mark.dataset.part === at);
      if (mark.tagName === "BUTTON") mark.setAttribute("aria-pressed", +mark.dataset.part === at);
    }
    drawDetail();
  }
  function draw() { drawTable(); drawList(); choose(at); }

  root.append(
    say("p", `views.ablation.objectives.${found.objective}`, () => ({ loss: number(found.loss, 3), tokens: found.tokens })),
    ...(found.heads ? [say("p", "views.ablation.left", { count: found.heads }, { class: "note" })] : []),
    el("div", { class: "scroll" }, table), say("p", "views.ablation.colors", {}, { class: "note" }),
    say("h3", "views.ablation.largest"), list, detail,
  );
  onLanguage(draw);
  onTheme(draw);
};
