// Draws every figure from the facts in this file, fills tables of numbers when they are
// opened, and switches between dark and light. Nothing is fetched.
const facts = JSON.parse(document.getElementById("facts").textContent);
const specs = JSON.parse(document.getElementById("specs").textContent);
const rows = { ...facts.figures, ...facts.neighbourhoods };
const root = document.documentElement;

const text = { labelColor: "var(--ink)", titleColor: "var(--ink)" };
const config = {
  background: null,
  font: "system-ui, 'DejaVu Sans', sans-serif",
  view: { stroke: null },
  axis: {
    ...text, gridColor: "var(--line)", domainColor: "var(--soft)", tickColor: "var(--soft)",
    labelFontSize: 11, titleFontSize: 11, titleFontWeight: "normal", labelLimit: 480,
  },
  header: { ...text, labelFontSize: 11, labelFontWeight: "bold" },
  legend: { ...text, symbolOpacity: 1, labelFontSize: 11, titleFontSize: 11 },
  title: { color: "var(--ink)", fontSize: 12, anchor: "start" },
  text: { fontSize: 11 },
  range: { category: ["var(--c0)", "var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)", "var(--c5)"] },
};

// The names of all rows a specification draws from, layers and parts included.
function namesIn(spec) {
  return JSON.stringify(spec).match(/"data":\{"name":"\w+"/g).map((s) => s.split('"')[5]);
}

function prepared(name) {
  const spec = { ...specs[name] };
  spec.datasets = Object.fromEntries(namesIn(spec).map((n) => [n, rows[n]]));
  if (name === "neighbourhood") {
    const [ego] = spec.params;
    const parties = facts.neighbourhoods.parties;
    const options = parties.map((p) => p.ego);
    const labels = parties.map((p) => p.label + (p.left_out ? ` (not drawn: ${p.left_out})` : ""));
    spec.params = [{ ...ego, value: options[0], bind: { ...ego.bind, options, labels } }];
  }
  return spec;
}

async function draw(place) {
  const name = place.dataset.figure;
  const spec = { ...prepared(name), description: place.dataset.alt };
  const options = { actions: false, renderer: "svg", ast: true, config, tooltip: { theme: "page" } };
  await window.vegaEmbed(place, spec, options);
}

function cell(tag, value) {
  const made = document.createElement(tag);
  made.textContent = value === null || value === undefined ? "—"
    : typeof value === "number" && !Number.isInteger(value) ? value.toPrecision(5) : String(value);
  if (typeof value === "number") made.className = "n";
  return made;
}

function tableOf(name) {
  const table = document.createElement("table");
  table.createCaption().textContent = name.replaceAll("_", " ");
  if (!rows[name].length) return table;
  const keys = Object.keys(rows[name][0]);
  const head = table.createTHead().insertRow();
  head.append(...keys.map((key) => cell("th", key)));
  const body = table.createTBody();
  for (const row of rows[name]) body.insertRow().append(...keys.map((key) => cell("td", row[key])));
  return table;
}

function fill(details) {
  if (details.querySelector("table")) return;
  for (const name of details.dataset.rows.split(" ")) {
    const box = document.createElement("div");
    box.className = "scroll";
    box.tabIndex = 0;
    box.append(tableOf(name));
    details.append(box);
  }
}

for (const details of document.querySelectorAll("details[data-rows]"))
  details.addEventListener("toggle", () => details.open && fill(details));

document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme
    ? root.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
});

for (const place of document.querySelectorAll(".drawing")) {
  await draw(place);
  await new Promise((done) => setTimeout(done)); // lets the page scroll between two drawings
}
root.dataset.ready = "yes";
