"use strict";
// Sortable tables, and learning curves that follow the page's colours, choosers and legend.
(() => {
  const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 5 });

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

  // ---- curves ------------------------------------------------------------------------------------------------------

  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

  function theme(palette) {
    const [ink, quiet, rule] = ["ink", "quiet", "rule"].map(colour);
    const font = getComputedStyle(document.body).fontFamily;
    return {
      range: { category: palette.map(colour) }, // named as the stylesheet names them
      background: null, font, padding: { left: 0, right: 6, top: 6, bottom: 0 }, view: { stroke: null },
      axis: {
        labelColor: quiet, labelFontSize: 12, domainColor: rule, tickColor: rule, gridColor: rule, gridOpacity: 0.6,
        titleColor: ink,
      },
      axisY: { domain: false, ticks: false, labelPadding: 6 },
    };
  }

  function rows(chart, metric, axis, hidden) {
    const factor = metric.percent ? 100 : 1;
    const unit = metric.percent ? " %" : "";
    return metric.series.flatMap((series, i) => {
      if (!series.step || hidden.has(chart.arms[i])) return [];
      return series.step.map((_, j) => {
        const [mean, low, high] = ["mean", "low", "high"].map((name) =>
          series[name][j] === null ? null : factor * series[name][j]);
        const seeds = series.seeds[j];
        return {
          arm: chart.arms[i], x: series[axis][j], mean, low, high,
          at: `${digits.format(series[axis][j])} ${chart.axes[axis]}`,
          value: mean === null ? "not finite" : `${digits.format(mean)}${unit}`,
          range: seeds > 1 ? `${seeds}, from ${digits.format(low)} to ${digits.format(high)}` : String(seeds),
        };
      });
    });
  }

  function draw(figure) {
    const chart = JSON.parse(figure.querySelector("script").textContent);
    const [metric, axis] = [figure.querySelector(".metric"), figure.querySelector(".axis")];
    const plot = figure.querySelector(".plot");
    const hidden = new Set();
    let drawn = Promise.resolve(null);

    function again() {
      const chosen = chart.metrics[Number(metric.value)];
      drawn = drawn.then(async (before) => {
        if (before) before.finalize();
        const spec = { ...chart.spec, data: { name: "curves", values: rows(chart, chosen, axis.value, hidden) } };
        const options = { actions: false, ast: true, renderer: "svg", config: theme(chart.colours), tooltip: { disableDefaultStyle: true } };
        plot.dataset.metric = chosen.name;
        return vegaEmbed(plot, spec, options);
      });
    }

    for (const chooser of [metric, axis]) chooser.addEventListener("change", again);
    for (const button of figure.querySelectorAll(".legend button")) {
      button.addEventListener("click", () => {
        const shown = button.getAttribute("aria-pressed") === "false";
        button.setAttribute("aria-pressed", String(shown));
        if (shown) hidden.delete(button.dataset.arm);
        else hidden.add(button.dataset.arm);
        again();
      });
    }
    dark.addEventListener("change", again);
    again();
  }

  for (const figure of document.querySelectorAll("figure.chart")) draw(figure);
})();
