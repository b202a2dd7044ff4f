// E, ΔE and E': the size of what each sublayer adds, by token and part, and the tokens that it moves the word toward.
views.stream = function (root, stacks) {
  for (const stack of stacks) {
    const size = unpack(stack.size), whole = unpack(stack.stream), tokens = tokensOf(stack.stack);
    const [parts, length] = size.shape;
    let token = length - 1;
    const name = (part) => part.layer === null ? t("sublayers.embedding")
      : `${t("views.stream.layer", { number: part.layer + 1 })} ${t(`sublayers.${part.name}`)}`;
    if (data.source) root.append(say("h3", `stacks.${stack.stack}`));

    const canvas = el("canvas", { class: "grid" }), names = el("div", { class: "axis side" });
    const list = el("ol", { class: "candidates parts" }), title = el("h3", {});
    function draw() {
      const most = Math.max(size.high, 1e-9);
      paint(canvas, parts, length, (i, j) => size.at(i, j) / most);
      const cell = Math.max(2, Math.min(26, Math.floor(560 / length)));
      canvas.style.width = `${cell * length}px`;
      canvas.style.height = `${20 * parts}px`;
      replace(names, ...stack.parts.map((part) => el("span", { style: "height:20px" }, name(part))));
      drawToken();
    }
    function drawToken() {
      replace(title, `${t("views.stream.token")} `, chip(tokens[token]), ` ${token + 1}/${length}`);
      const most = Math.max(...stack.parts.map((_, i) => size.at(i, token)), 1e-9);
      const place = token - stack.first;
      replace(list, ...stack.parts.map((part, i) => el("li", {},
        el("span", { class: "partname" }, name(part)),
        el("span", { class: "track" }, el("i", { style: `width:${(100 * size.at(i, token)) / most}%` })),
        el("span", { class: "value" }, number(size.at(i, token), 2)),
        el("span", { class: "value quiet" }, number(whole.at(i, token), 2)),
        stack.directions && place >= 0
          ? el("span", { class: "toward" }, ...stack.directions.ids[i][place].map((id) => chip(word(id)))) : null)));
    }
    watchCells(canvas, (i, j) => [
      chip(tokens[j]), name(stack.parts[i]),
      `${t("views.stream.size")}: ${number(size.at(i, j), 2)}`, `${t("views.stream.after")}: ${number(whole.at(i, j), 2)}`,
    ]);
    canvas.addEventListener("click", (event) => { [, token] = cellAt(event, canvas); drawToken(); });
    const pick = slider("views.stream.token", 1, length, 1, length, (value) => { token = value - 1; drawToken(); });
    root.append(
      el("div", { class: "scroll" }, el("div", { class: "matrix" }, names, canvas)),
      pick.element, title, say("p", "views.stream.columns", {}, { class: "quiet columns" }), list,
      say("p", "views.stream.exact", { error: stack.error.toExponential(1) }, { class: "note" }),
    );
    onLanguage(draw);
    onTheme(draw);
  }
};
