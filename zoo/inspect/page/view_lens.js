// The lens: a table of the likeliest next token after each layer (rows) at each token (columns).
views.lens = function (root, lens) {
  const chance = unpack(lens.probabilities), tokens = data.tokens.slice(lens.first);
  const table = el("table", { class: "lens" });
  function draw() {
    const row = (i) => el("tr", {}, el("th", {}, i === 0 ? t("sublayers.embedding") : t("views.lens.layer", { number: i })),
      ...lens.ids[i].map((ids, j) => {
        const share = chance.at(i, j, 0), [r, g, b] = shade(share);
        const dark = theme.matches ? share < 0.45 : share > 0.35;
        const lines = () => ids.map((id, n) => el("span", {}, chip(word(id)), ` ${percent(chance.at(i, j, n))}`));
        return el("td", {
          style: `background:rgb(${r} ${g} ${b});color:${dark ? "#fff" : "#111"}`, tabindex: 0,
          onpointermove: (event) => showTip(event, lines()), onpointerleave: hideTip,
          onfocus: (event) => { const box = event.target.getBoundingClientRect(); showTip({ clientX: box.left, clientY: box.bottom }, lines()); },
          onblur: hideTip,
        }, el("bdi", {}, label(word(ids[0]))));
      }));
    replace(table,
      el("thead", {}, el("tr", {}, el("th", {}), ...tokens.map((token) => el("th", {}, chip(token))))),
      el("tbody", {}, ...lens.ids.map((_, i) => row(i)).reverse()));
  }
  root.append(el("div", { class: "scroll" }, table));
  if (lens.first > 0) root.append(say("p", "views.lens.cut", { count: tokens.length }, { class: "note" }));
  onLanguage(draw);
  onTheme(draw);
};
