"use strict";
// Elements, texts in two languages, packed arrays, and tokens, which all views use. Texts of users reach the page only
// through textContent.
const data = JSON.parse(document.getElementById("data").textContent);
const strings = JSON.parse(document.getElementById("strings").textContent);
const views = {};
let language = document.documentElement.lang;

// ------------------------------------------------------------------------------------------------------------- elements

function el(tag, attributes = {}, ...children) {
  const made = tag.includes(":")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.split(":")[1])
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function replace(parent, ...children) {
  parent.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
  return parent;
}

// ---------------------------------------------------------------------------------------------------------------- texts

const listeners = new Set();

/** Calls `draw` now, and again whenever the language changes. */
function onLanguage(draw) {
  listeners.add(draw);
  draw();
}

/** A text in the current language; `{name}` stands for a value. */
function t(key, values = {}) {
  let found = strings;
  for (const part of key.split(".")) found = found && found[part];
  if (!found || found[language] === undefined) throw new Error(`no text ${key} in ${language}`);
  return found[language].replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

/** An element whose text follows the language; `values` may be a function. */
function say(tag, key, values = {}, attributes = {}) {
  const made = el(tag, attributes);
  onLanguage(() => { made.textContent = t(key, typeof values === "function" ? values() : values); });
  return made;
}

function switchLanguage(to) {
  language = to;
  document.documentElement.lang = to;
  for (const draw of listeners) draw();
}

function number(value, digits = 3) {
  if (value === null || value === undefined || Number.isNaN(value)) return "";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e5 || size < 10 ** -digits)) return value.toExponential(1);
  return value.toFixed(size >= 100 ? Math.min(digits, 1) : digits);
}

const percent = (value) => (value * 100).toFixed(value < 0.0995 ? 1 : 0) + "%";

// --------------------------------------------------------------------------------------------------------- packed arrays

function decode(text) {
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return bytes;
}

/** Numbers that were packed to 16 bits: `at(i, j, …)` and `shape`. */
function unpack(packed) {
  const bytes = decode(packed.data), view = new DataView(bytes.buffer), { shape } = packed;
  const at = (...index) => {
    let place = 0;
    index.forEach((i, axis) => { place = place * shape[axis] + i; });
    return packed.low + packed.step * view.getUint16(2 * place, true);
  };
  return { shape, at, low: packed.low, high: packed.low + 65535 * packed.step };
}

/** Bits that were packed: `at(i, j, …)`. */
function unpackBits(packed) {
  const bytes = decode(packed.data), { shape } = packed;
  return {
    shape,
    at: (...index) => {
      let place = 0;
      index.forEach((i, axis) => { place = place * shape[axis] + i; });
      return (bytes[place >> 3] >> (place & 7)) & 1;
    },
  };
}

// --------------------------------------------------------------------------------------------------------------- tokens

const MARKS = { " ": "␣", "\n": "⏎", "\t": "⇥", "\r": "␍", "\u00a0": "⍽", "\u3000": "␣" };

/** A text with signs for characters that cannot be seen. */
function visible(text) {
  const shown = Array.from(text, (one) => {
    if (MARKS[one]) return MARKS[one];
    const code = one.codePointAt(0);
    if (code < 32) return String.fromCodePoint(0x2400 + code);
    if (code === 127) return "␡";
    if (/\p{Cf}|\p{Zl}|\p{Zp}/u.test(one)) return `⟨U+${code.toString(16).toUpperCase().padStart(4, "0")}⟩`;
    return one;
  }).join("");
  const short = Array.from(shown);
  const cut = short.length > 24 ? short.slice(0, 12).join("") + "…" + short.slice(-8).join("") : shown;
  return /^\p{M}/u.test(cut) ? "◌" + cut : cut;
}

/** Text and kind of a token by its id. */
function word(id) {
  const [text, kind] = data.words[id] || [`#${id}`, "special"];
  return { text, kind, part: 1, parts: 1 };
}

/** Text of a token with its part of a character, such as 果 2/3. */
function label(token) {
  const text = token.text === "" ? "∅" : visible(token.text);
  return token.parts > 1 ? `${text} ${token.part}/${token.parts}` : text;
}

function chip(token, attributes = {}) {
  return el("bdi", { ...attributes, class: `chip kind-${token.kind} ${attributes.class || ""}` }, label(token));
}

/** Tokens of a stack: those of the source in an encoder that has a decoder, else those of the text. */
const tokensOf = (stack) => (stack === "encoder" && data.source ? data.source : data.tokens);

// -------------------------------------------------------------------------------------------------------------- controls

function slider(key, low, high, step, value, change, format = (x) => x) {
  const shown = el("output", {}, format(value));
  const input = el("input", {
    type: "range", min: low, max: high, step, value,
    oninput: () => { shown.textContent = format(+input.value); change(+input.value); },
  });
  onLanguage(() => { shown.textContent = format(+input.value); });
  return { input, element: el("label", { class: "slider" }, say("span", key), input, shown) };
}

function picker(key, options, change) {
  const input = el("select", { onchange: () => change(+input.value) });
  onLanguage(() => {
    const chosen = input.value;
    replace(input, ...options.map((option, i) => el("option", { value: i }, option())));
    if (chosen !== "") input.value = chosen;
  });
  return { input, element: el("label", { class: "picker" }, say("span", key), input) };
}

/** Buttons of which one is chosen. */
function choices(keys, change) {
  const buttons = keys.map((key, i) => say("button", key, {}, { type: "button", onclick: () => choose(i) }));
  function choose(i) {
    buttons.forEach((button, j) => button.setAttribute("aria-pressed", i === j));
    change(i);
  }
  return { element: el("div", { class: "choices", role: "group" }, ...buttons), choose };
}

const tip = document.getElementById("tip");

/** Shows lines of text at the pointer; each is a string or an element. */
function showTip(event, lines) {
  replace(tip, ...lines.map((line) => el("div", {}, line)));
  tip.hidden = false;
  const box = tip.getBoundingClientRect(), gap = 14;
  const left = Math.min(event.clientX + gap, innerWidth - box.width - 8);
  const top = event.clientY + gap + box.height > innerHeight ? event.clientY - gap - box.height : event.clientY + gap;
  tip.style.left = `${Math.max(4, left)}px`;
  tip.style.top = `${Math.max(4, top)}px`;
}

const hideTip = () => { tip.hidden = true; };
addEventListener("scroll", hideTip, { passive: true });

// ---------------------------------------------------------------------------------------------------------------- colors

const theme = matchMedia("(prefers-color-scheme: dark)");
const redraws = new Set();
theme.addEventListener("change", () => { for (const draw of redraws) draw(); });

/** Calls `draw` now, and again when the page turns light or dark. */
function onTheme(draw) {
  redraws.add(draw);
  draw();
}

/** Color of a share between 0 and 1, or of a signed value between -1 and 1. */
function shade(value) {
  const paper = theme.matches ? [20, 21, 24] : [253, 253, 252];
  const ink = value < 0 ? (theme.matches ? [255, 138, 69] : [200, 80, 0]) : theme.matches ? [92, 184, 255] : [0, 88, 160];
  const part = Math.sqrt(Math.min(1, Math.abs(value)));
  return paper.map((low, i) => Math.round(low + (ink[i] - low) * part));
}

/** Paints a grid of values between -1 and 1 (null: hidden) on a canvas, one pixel a cell. */
function paint(canvas, rows, columns, value) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d"), image = context.createImageData(columns, rows);
  const hidden = theme.matches ? [45, 47, 52] : [226, 226, 220];
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      const found = value(i, j);
      image.data.set([...(found === null ? hidden : shade(found)), 255], 4 * (i * columns + j));
    }
  }
  context.putImageData(image, 0, 0);
}

/** Row and column of a canvas under the pointer. */
function cellAt(event, canvas) {
  const box = canvas.getBoundingClientRect();
  const limit = (value, size) => Math.max(0, Math.min(size - 1, Math.floor(value * size)));
  return [
    limit((event.clientY - box.top) / box.height, canvas.height),
    limit((event.clientX - box.left) / box.width, canvas.width),
  ];
}

function watchCells(canvas, lines) {
  const show = (event) => { const found = lines(...cellAt(event, canvas)); if (found) showTip(event, found); };
  canvas.addEventListener("pointermove", show);
  canvas.addEventListener("pointerdown", show);
  canvas.addEventListener("pointerleave", hideTip);
}

// ---------------------------------------------------------------------------------------------------------------- charts

const SERIES = ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"], DASHES = [null, "7 4", "2 3", "9 3 2 3", "4 4"];

/** A line chart over 0, 1, 2, …: series are `{name: () => text, values: [number or null]}`; drawn again with the language. */
function lineChart(series, { logarithmic = false, label: axis, tick }) {
  const root = el("figure", { class: "lines" }), W = 640, H = 260, L = 58, B = 34, T = 12, R = 12;
  function draw() {
    const shown = series.flatMap((one) => one.values.filter((value) => value !== null && (!logarithmic || value > 0)));
    const scale = (value) => (logarithmic ? Math.log10(value) : value);
    let low = Math.min(...shown.map(scale)), high = Math.max(...shown.map(scale));
    if (logarithmic) low = Math.max(low, high - 8); // eight decades; what is smaller lies on the lower edge
    else { low = Math.min(0, low); high = Math.max(low + 1e-9, high); }
    if (high - low < 1e-9) { high += 0.5; low -= 0.5; }
    const count = Math.max(...series.map((one) => one.values.length));
    const x = (i) => L + (count < 2 ? 0 : (i * (W - L - R)) / (count - 1));
    const y = (value) => H - B - ((Math.max(low, scale(value)) - low) * (H - B - T)) / (high - low);
    const marks = [0, 0.25, 0.5, 0.75, 1].map((part) => low + part * (high - low));
    const chart = el("svg:svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": t(axis) });
    for (const mark of marks) {
      const at = H - B - ((mark - low) * (H - B - T)) / (high - low), value = logarithmic ? 10 ** mark : mark;
      chart.append(el("svg:line", { x1: L, x2: W - R, y1: at, y2: at, class: "rule" }),
        el("svg:text", { x: L - 6, y: at + 4, "text-anchor": "end" }, number(value, 2)));
    }
    const every = Math.ceil(count / 12);
    for (let i = 0; i < count; i += every) chart.append(el("svg:text", { x: x(i), y: H - B + 16, "text-anchor": "middle" }, tick(i)));
    series.forEach((one, n) => {
      const points = one.values.map((value, i) => (value === null || (logarithmic && value <= 0) ? null : [x(i), y(value)]));
      const path = points.map((point, i) => (point ? `${i && points[i - 1] ? "L" : "M"}${point[0].toFixed(1)} ${point[1].toFixed(1)}` : "")).join("");
      chart.append(el("svg:path", { d: path, fill: "none", stroke: SERIES[n % 5], "stroke-width": 2, "stroke-dasharray": DASHES[n % 5] }));
      points.forEach((point, i) => point && chart.append(el("svg:circle", {
        cx: point[0], cy: point[1], r: 4, fill: SERIES[n % 5],
        onpointermove: (event) => showTip(event, [one.name(), `${tick(i)}: ${number(one.values[i], 4)}`]), onpointerleave: hideTip,
      })));
    });
    replace(root, el("figcaption", {}, t(axis)), chart, el("p", { class: "legend" },
      ...series.map((one, n) => el("span", {}, el("i", { style: `background:${SERIES[n % 5]}` }), one.name()))));
  }
  onLanguage(draw);
  return root;
}
