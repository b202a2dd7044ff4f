// Where the parameters are: shares by module, and how operations and cache grow with the length.
views.parameters = function (root, found) {
  const bar = (key, shares) => {
    const track = el("div", { class: "stacked" }), legend = el("p", { class: "legend shares" });
    const parts = Object.entries(shares).filter(([, share]) => share > 0.0005);
    const text = (name, share) => `${t(`views.parameters.parts.${name}`)} ${percent(share)}`;
    replace(track, ...parts.map(([name, share]) => el("span", { class: `part-${name}`, style: `width:${100 * share}%` })));
    onLanguage(() => replace(legend, ...parts.map(([name, share]) => el("span", {}, el("i", { class: `part-${name}` }), text(name, share)))));
    return el("div", {}, say("h3", key), track, legend);
  };
  const table = el("table", { class: "measures" });
  onLanguage(() => replace(table,
    el("thead", {}, el("tr", {}, ...["length", "flops", "cache"].map((name) => el("th", {}, t(`views.parameters.${name}`))))),
    el("tbody", {}, ...found.growth.map((row) => el("tr", {}, el("th", {}, row.length.toLocaleString("en")),
      el("td", {}, magnitude(row.flops_per_token)), el("td", {}, row.cache_bytes ? `${magnitude(row.cache_bytes)}B` : "–"))))));
  function magnitude(value) {
    const unit = ["", "k", "M", "G", "T", "P"], power = value < 1000 ? 0 : Math.min(5, Math.floor(Math.log10(value) / 3));
    return `${number(value / 1000 ** power, 1)} ${unit[power]}`;
  }
  root.append(
    bar("views.parameters.all", found.shares), bar("views.parameters.layers", found.layer_shares),
    bar("views.parameters.operations", found.flops_shares), say("h3", "views.parameters.growth"),
    el("div", { class: "scroll" }, table),
  );
};
