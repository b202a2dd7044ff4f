// Attention: thumbnails of all heads, the grid of one in four stages, measures, and the strongest keys of a query.
views.attention = function (root, entries) {
  const withHeads = entries.filter((entry) => entry.heads > 0);
  const nameOf = (entry) => t("views.attention.place", {
    layer: entry.layer + 1,
    sublayer: t(`sublayers.${entry.sublayer}`),
    stack: data.source ? t(`stacks.${entry.stack}`) : "",
  }) + (entry.branches > 1 ? ` ${entry.branch + 1}/${entry.branches}` : "");
  for (const entry of entries.filter((one) => one.heads === 0)) {
    root.append(say("p", "views.attention.none", () => ({ place: nameOf(entry), component: entry.component }), { class: "notice" }));
  }
  if (!withHeads.length) return;

  let entry = withHeads[0], head = 0, stage = 3, query = withHeads[0].queries - 1;
  const cache = new Map();
  const arrays = (of) => {
    if (!cache.has(of)) {
      const grid = {};
      for (const [name, packed] of Object.entries(of.grid)) grid[name] = name === "visible" ? unpackBits(packed) : unpack(packed);
      if (of.strongest) grid.strongest = { keys: unpack(of.strongest.keys), weights: unpack(of.strongest.weights) };
      cache.set(of, grid);
    }
    return cache.get(of);
  };
  const STAGES = ["product", "scaled", "masked", "softmax"];
  const score = (grid, i, j) => grid.scores ? grid.scores.at(head, i, j) : grid.products ? grid.products.at(head, i, j) * entry.scale : null;
  const isVisible = (grid, i, j) => !grid.visible || grid.visible.at(head, i, j) === 1;

  const queryTokens = () => tokensOf(entry.stack);
  const keyTokens = () => (entry.sublayer === "cross" ? data.source : tokensOf(entry.stack));
  const keyLabel = (j) => (keyTokens().length === entry.keys ? label(keyTokens()[j]) : t("views.attention.block", { number: j + 1 }));

  // Thumbnails of the weights of every head: one row for each attention.
  const thumbs = el("div", { class: "thumbs" });
  withHeads.forEach((one) => {
    const row = el("div", { class: "thumbrow" }, say("span", "raw", () => ({ text: nameOf(one) })));
    const strip = el("div", {});
    for (let h = 0; h < one.heads; h++) {
      const canvas = el("canvas", {});
      const button = el("button", { type: "button", onclick: () => { entry = one; head = h; choose(); } }, canvas);
      onLanguage(() => button.setAttribute("aria-label", `${nameOf(one)}, ${t("views.attention.head", { number: h + 1 })}`));
      onTheme(() => {
        const { weights } = arrays(one), [, rows, columns] = weights.shape;
        const most = Math.max(Math.abs(weights.low), Math.abs(weights.high)) || 1;
        paint(canvas, rows, columns, (i, j) => weights.at(h, i, j) / most);
      });
      button.dataset.key = `${withHeads.indexOf(one)}.${h}`;
      strip.append(button);
    }
    row.append(strip);
    thumbs.append(row);
  });

  const canvas = el("canvas", { class: "grid" }), title = el("h3", {}), note = el("p", { class: "note" });
  const top = el("div", { class: "axis" }), side = el("div", { class: "axis side" });
  const stages = choices(STAGES.map((name) => `views.attention.stages.${name}`), (i) => { stage = i; draw(); });
  const measures = el("table", { class: "measures" });
  const strongest = el("div", { class: "strongest" });

  function value(grid, i, j) {
    if (stage === 3 || !grid.products && !grid.scores) return grid.weights.at(head, i, j);
    if (stage === 2 && !isVisible(grid, i, j)) return null;
    return stage === 0 && grid.products ? grid.products.at(head, i, j) : score(grid, i, j);
  }

  function draw() {
    const grid = arrays(entry), [, rows, columns] = grid.weights.shape;
    let most = 1e-9;
    for (let i = 0; i < rows; i++) for (let j = 0; j < columns; j++) most = Math.max(most, Math.abs(value(grid, i, j) || 0));
    paint(canvas, rows, columns, (i, j) => { const found = value(grid, i, j); return found === null ? null : found / most; });
    const cell = Math.max(5, Math.min(30, Math.floor(520 / Math.max(rows, columns))));
    canvas.style.width = `${cell * columns}px`;
    canvas.style.height = `${cell * rows}px`;
    const named = cell >= 13;
    replace(side, ...(named ? queryTokens().slice(0, rows).map((token) => chip(token, { style: `height:${cell}px` })) : []));
    replace(top, ...(named ? Array.from({ length: columns }, (_, j) => el("bdi", { style: `width:${cell}px` }, keyLabel(j))) : []));
    title.textContent = `${nameOf(entry)}, ${t("views.attention.head", { number: head + 1 })}`;
    const lines = [t(entry.softmax ? `views.attention.notes.${STAGES[stage]}` : "views.attention.notes.linear", { scale: number(entry.scale, 4), low: number(-most, 2), high: number(most, 2) })];
    if (rows < entry.queries || columns < entry.keys) lines.push(t("views.attention.cut", { rows, queries: entry.queries }));
    note.textContent = lines.join(" ");
    stages.element.hidden = !entry.softmax;
    drawMeasures();
    drawStrongest();
  }

  watchCells(canvas, (i, j) => {
    const grid = arrays(entry), lines = [
      el("span", {}, chip(queryTokens()[i]), " → ", el("bdi", { class: "chip" }, keyLabel(j))),
    ];
    if (grid.products) lines.push(`${t("views.attention.stages.product")}: ${number(grid.products.at(head, i, j))}`);
    if (score(grid, i, j) !== null) lines.push(`${t("views.attention.stages.scaled")}: ${number(score(grid, i, j))}`);
    if (!isVisible(grid, i, j)) lines.push(t("views.attention.hidden"));
    lines.push(`${t(entry.softmax ? "views.attention.stages.softmax" : "views.attention.weight")}: ${number(grid.weights.at(head, i, j), 4)}`);
    return lines;
  });
  canvas.addEventListener("click", (event) => { [query] = cellAt(event, canvas); drawStrongest(); });

  function drawMeasures() {
    const names = Object.keys(entry.measures).filter((name) => entry.measures[name] !== null);
    replace(measures,
      el("thead", {}, el("tr", {}, el("th", {}, t("views.attention.measure")),
        ...Array.from({ length: entry.heads }, (_, h) => el("th", { class: h === head ? "now" : "" }, `${h + 1}`)))),
      el("tbody", {}, ...names.map((name) => el("tr", { title: t(`views.attention.measures.${name}.why`) },
        el("th", {}, t(`views.attention.measures.${name}.name`)),
        ...entry.measures[name].map((found, h) => el("td", { class: h === head ? "now" : "" }, number(found, 2)))))));
  }

  function drawStrongest() {
    const grid = arrays(entry), tokens = queryTokens();
    query = Math.min(query, tokens.length - 1, entry.queries - 1);
    const pairs = grid.strongest
      ? Array.from({ length: grid.strongest.keys.shape[2] }, (_, n) => [Math.round(grid.strongest.keys.at(head, query, n)), grid.strongest.weights.at(head, query, n)])
      : Array.from({ length: entry.keys }, (_, j) => [j, grid.weights.at(head, query, j)]).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1])).slice(0, 8);
    const input = el("input", { type: "number", min: 1, max: entry.queries, value: query + 1, onchange: () => { query = Math.max(0, Math.min(entry.queries - 1, input.value - 1 || 0)); drawStrongest(); } });
    replace(strongest,
      el("p", {}, el("label", {}, `${t("views.attention.query")} `, input), " ", chip(tokens[query])),
      el("ol", { class: "candidates" }, ...pairs.filter(([, weight]) => Math.abs(weight) > 1e-4).map(([j, weight]) =>
        el("li", {}, el("bdi", { class: "chip" }, keyLabel(j)), el("span", { class: "quiet place" }, `${j + 1}`),
          el("span", { class: "track" }, el("i", { style: `width:${Math.min(100, 100 * Math.abs(weight))}%` })), el("span", { class: "value" }, number(weight, 3))))));
  }

  function choose() {
    const key = `${withHeads.indexOf(entry)}.${head}`;
    thumbs.querySelectorAll("button").forEach((button) => button.setAttribute("aria-pressed", button.dataset.key === key));
    draw();
  }

  root.append(thumbs, title, stages.element, note,
    el("div", { class: "scroll" }, el("div", { class: "matrix" }, el("span", {}), top, side, canvas)),
    el("div", { class: "scroll" }, measures), say("h3", "views.attention.strongest"), strongest);
  stages.choose(3);
  choose();
  onTheme(draw);
  onLanguage(draw);
};
