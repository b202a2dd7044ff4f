"use strict";
// Tables that are sorted and filtered, and charts that follow the choosers and the arms chosen for the whole page.
(() => {
  // ---- tables ------------------------------------------------------------------------------------------------------

  function sort(table, column, header) {
    const order = header.getAttribute("aria-sort");
    const first = header.querySelector("button").dataset.first;
    const next = order === "ascending" ? "descending" : order === "descending" ? "ascending" : first;
    for (const other of header.parentElement.children) other.removeAttribute("aria-sort");
    header.setAttribute("aria-sort", next);
    const sign = next === "ascending" ? 1 : -1;
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => [key(row.cells[column]), row]);
    rows.sort(([a], [b]) => compare(a, b, sign));
    body.append(...rows.map(([, row]) => row));
  }

  function key(cell) {
    const text = cell === undefined || cell.dataset.sort === undefined ? "" : cell.dataset.sort;
    if (text === "" || text === "nan") return null;
    return Number.isNaN(Number(text)) ? text : Number(text);
  }

  function compare(a, b, sign) { // what has no value comes last either way
    if (a === null || b === null) return (a === null) - (b === null);
    if (typeof a === "number" && typeof b === "number") return sign * (a - b);
    return sign * String(a).localeCompare(String(b), "en", { numeric: true });
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      header.querySelector("button").addEventListener("click", () => sort(table, column, header));
    });
  }

  // ---- arms: which are drawn, and which rows and arms pass the filter ----------------------------------------------

  const bar = document.getElementById("bar");
  const toggles = [...bar.querySelectorAll(".legend button")];
  const pressed = (button) => button.getAttribute("aria-pressed") === "true";
  const press = (button, on) => button.setAttribute("aria-pressed", String(on));
  const drawnArms = () => new Set(toggles.filter(pressed).map((button) => button.dataset.arm));

  function filter(words) { // a row of results stays if it holds every word; a run stays if its arm has such a row
    for (const section of document.querySelectorAll("section.task")) {
      const rows = [...section.querySelectorAll("table.results tbody tr")];
      for (const row of rows) {
        const text = row.dataset.filter.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
      }
      const gone = new Set(rows.filter((row) => row.hidden).map((row) => row.dataset.arm));
      for (const row of section.querySelectorAll("table.compact tbody tr")) row.hidden = gone.has(row.dataset.arm);
    }
  }

  function shownIn(section) {
    const rows = [...section.querySelectorAll("table.results tbody tr")];
    const all = rows.length ? rows : [...document.querySelectorAll("table.results tbody tr")];
    const passed = new Set(all.filter((row) => !row.hidden).map((row) => row.dataset.arm));
    return new Set([...drawnArms()].filter((arm) => passed.has(arm)));
  }

  // ---- charts: a specification, columns of data, and what the choosers chose ---------------------------------------

  const theme = JSON.parse(document.getElementById("theme").textContent);

  function titled(spec, titles) {
    return JSON.parse(JSON.stringify(spec), (name, value) =>
      (name === "title" || name === "value") && Object.hasOwn(titles, value) ? titles[value] : value);
  }

  function rows(chart, view, axis, shown) {
    const columns = { ...view.columns };
    for (const [channel, name] of Object.entries(axis.columns)) columns[channel] = columns[name];
    const known = Object.entries(columns).map(([name, place]) => [name, chart.columns[place]]);
    const arms = chart.columns[columns.arm].map((place) => chart.arms[place]);
    const made = arms.map((arm, i) => ({ ...Object.fromEntries(known.map(([name, values]) => [name, values[i]])), arm }));
    return made.filter((row) => shown.has(row.arm));
  }

  function drawer(figure) {
    const chart = JSON.parse(figure.querySelector("script").textContent);
    const [view, axis] = [figure.querySelector(".view"), figure.querySelector(".axis")];
    const [plot, section] = [figure.querySelector(".plot"), figure.closest("section")];
    const options = { // no warning that a chart has no extent where the reader switched all arms off
      logLevel: 1, actions: false, ast: true, renderer: "svg", config: theme, tooltip: { disableDefaultStyle: true },
    };
    let drawn = null; // a promise, so that what is asked for while drawing comes after it

    function values() {
      return rows(chart, chart.views[view.value], chart.axes[axis.value], shownIn(section));
    }

    function draw() {
      drawn = (drawn || Promise.resolve(null)).then(async (before) => {
        if (before) before.finalize();
        const [seen, over] = [chart.views[view.value], chart.axes[axis.value]];
        const spec = titled(chart.spec, { $x: over.x || seen.x, $y: seen.y });
        const found = values();
        if (chart.row) spec.height = chart.row * Math.max(1, found.length);
        return vegaEmbed(plot, { ...spec, data: { name: "rows", values: found } }, options);
      });
    }

    function update() { // other arms, same drawing
      if (drawn === null) return;
      if (chart.row) return void draw();
      drawn = drawn.then(async (result) => {
        await result.view.data("rows", values()).runAsync();
        return result;
      });
    }

    for (const chooser of [view, axis]) chooser.addEventListener("change", draw);
    return { draw, update };
  }

  const drawers = new Map([...document.querySelectorAll("figure.chart")].map((figure) => [figure, drawer(figure)]));
  const near = new IntersectionObserver((entries) => { // a page of many tasks draws what is about to be seen
    for (const entry of entries.filter((one) => one.isIntersecting)) {
      near.unobserve(entry.target);
      drawers.get(entry.target).draw();
    }
  }, { rootMargin: "800px" });
  for (const figure of drawers.keys()) near.observe(figure);

  function counted() { // said only where not all are drawn, so that none is missed
    const drawn = toggles.filter(pressed).length;
    document.getElementById("count").textContent = drawn < toggles.length ? `${drawn} of ${toggles.length} drawn` : "";
  }

  function update() {
    counted();
    for (const one of drawers.values()) one.update();
  }

  counted();
  for (const button of toggles) {
    button.addEventListener("click", () => { press(button, !pressed(button)); update(); });
  }
  document.getElementById("all").addEventListener("click", () => {
    const on = !toggles.every(pressed);
    for (const button of toggles) press(button, on);
    update();
  });
  document.getElementById("filter").addEventListener("input", (event) => {
    filter(event.target.value.toLowerCase().split(/\s+/).filter(Boolean));
    update();
  });
})();
