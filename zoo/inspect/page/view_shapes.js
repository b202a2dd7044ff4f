// The walk of one batch through the model: every call with the shapes that it reads and writes, and its source.
views.shapes = function (root, walk) {
  const list = el("div", { class: "walk" });
  const shape = (tensors) => tensors.map((one) => `${one.name} [${one.shape.join(", ")}]`).join("  ");
  function draw() {
    replace(list, ...walk.calls.map((call) => {
      const source = walk.code[call.location], body = source && source.body ? `${source.line}\n${source.body}` : "";
      return el("details", { style: `margin-left:${Math.min(call.depth, 8) * 0.9}rem` },
        el("summary", {}, el("b", {}, call.path || data.model.variant), ` ${call.component}`,
          call.count > 1 ? el("span", { class: "quiet" }, ` ${t("views.shapes.times", { count: call.count, last: call.last })}`) : null,
          el("code", {}, `${shape(call.inputs)} → ${shape(call.outputs)}`)),
        el("p", { class: "quiet" }, call.location), body ? el("pre", {}, body) : null);
    }));
  }
  root.append(say("p", "views.shapes.batch", { rows: walk.rows, length: walk.length }, { class: "note" }), list);
  onLanguage(draw);
};
