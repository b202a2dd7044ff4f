// Context: how the vectors of one word in two texts part, layer by layer, and what is near them.
views.context = function (root, found) {
  const token = (at) => found.tokens[at.text][at.place];
  found.texts.forEach((_, n) => root.append(el("p", { class: "chips" }, ...found.tokens[n].map((one, i) =>
    chip(one, { class: i >= found.spans[n][0] && i < found.spans[n][1] ? "written" : "" })))));
  if (data.model.variant === "decoder") root.append(say("p", "views.context.causal", {}, { class: "note" }));
  const tick = (i) => (i === 0 ? "E" : `${i}`);
  root.append(lineChart([
    { name: () => t("views.context.cosine"), values: found.layers.map((layer) => layer.cosine) },
    { name: () => t("views.context.distance"), values: found.layers.map((layer) => layer.distance) },
  ], { label: "views.context.axis", tick }));
  const table = el("table", { class: "near" });
  onLanguage(() => replace(table,
    el("thead", {}, el("tr", {}, el("th", {}, t("views.context.layer")), ...found.texts.map((_, n) => el("th", {}, t("views.context.near", { number: n + 1 }))))),
    el("tbody", {}, ...found.layers.map((layer, i) => el("tr", {}, el("th", {}, tick(i)),
      ...layer.neighbors.map((near) => el("td", {}, ...near.map((one) =>
        chip(token(one), { class: one.text === 0 ? "first" : "second", title: number(one.cosine, 3) })))))))));
  root.append(el("div", { class: "scroll" }, table), say("p", "views.context.note", {}, { class: "note" }));
};
