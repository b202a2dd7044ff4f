// Builds the page: its head, its contents, and every view that has data.
(function () {
  const head = document.getElementById("head"), contents = document.getElementById("contents");
  const { model } = data;
  const names = [...document.querySelectorAll("section.view")].map((section) => section.id);
  const switches = ["en", "zh"].map((name) =>
    el("button", { type: "button", lang: name, onclick: () => switchLanguage(name) }, name === "en" ? "English" : "中文"));
  onLanguage(() => switches.forEach((button) => button.setAttribute("aria-pressed", button.lang === language)));
  const facts = say("p", "facts", () => ({
    variant: t(`variants.${model.variant}`),
    parameters: model.parameters.toLocaleString("en"),
    vocabulary: model.vocabulary.toLocaleString("en"),
  }), { class: "note" });
  head.append(
    el("div", { class: "languages", role: "group" }, ...switches),
    say("p", "kicker", {}, { class: "kicker" }),
    el("h1", {}, el("bdi", {}, model.name)),
    facts,
  );
  for (const [key, tokens] of [["source", data.source], ["text", data.tokens]]) {
    if (!tokens) continue;
    head.append(say("h3", key === "source" ? "source_tokens" : "tokens", { count: tokens.length }));
    const shown = tokens.slice(0, 200).map((token, i) =>
      chip(token, { class: key === "text" && i >= data.prompt ? "written" : "", title: `${i}` }));
    head.append(el("p", { class: "chips" }, ...shown));
    if (tokens.length > shown.length) head.append(say("p", "more_tokens", { count: tokens.length - shown.length }, { class: "note" }));
  }
  contents.append(...names.map((name) => el("a", { href: `#${name}` }, say("span", `views.${name}.title`))));
  for (const name of names) {
    const section = document.getElementById(name);
    section.append(
      say("h2", `views.${name}.title`),
      say("p", `views.${name}.see`, {}, { class: "see" }),
      say("p", `views.${name}.try`, {}, { class: "try" }),
    );
    views[name](section, data.views[name]);
  }
})();
