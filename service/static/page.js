// The page: what is entered goes to the service, what it answers is shown, and a version is chosen.
//
// What is tried out here is no traffic, and the grid of a drawing least of all: `observe=false` keeps both out of drift.

import { Problem, get, newestOnly, post, useToken } from "./api.js";
import { say, showAnswer, showNothing } from "./answer.js";
import { Registry, showCard, showLog } from "./registry.js";
import { Surface, surfaceOf } from "./surface.js";
import { SYSTEMS, inFeet, inWords, number, percent, short } from "./units.js";

const byId = (id) => document.getElementById(id);
const [weightInput, feetInput, heightInput, chooser] = ["weight", "feet", "height", "version"].map(byId);
const TYPING_MILLISECONDS = 150;

let system = SYSTEMS.metric;
// What was entered, in pounds and inches; converting there and back ends where it began. NaN where it is no number.
let person = { weight: 73 / SYSTEMS.metric.weight.perCanonical, height: 182 / SYSTEMS.metric.height.perCanonical };
let chosen = null;
let champion = null;
const manifests = new Map();
const surfaces = new Map();

// Entering

function readFields() {
  const inches = number(heightInput.value);
  const feet = feetInput.value.trim() === "" ? 0 : number(feetInput.value);
  return { weight: number(weightInput.value), height: system.height.feet ? 12 * feet + (heightInput.value.trim() === "" ? 0 : inches) : inches };
}

function writeFields() {
  const { weight, height } = person;
  const inUnit = { weight: weight * system.weight.perCanonical, height: height * system.height.perCanonical };
  weightInput.value = Number.isNaN(weight) ? "" : short(inUnit.weight, system.weight.digits);
  if (Number.isNaN(height)) [feetInput.value, heightInput.value] = ["", ""];
  else if (system.height.feet) [feetInput.value, heightInput.value] = inFeet(height, system.height.digits);
  else heightInput.value = short(inUnit.height, system.height.digits);
}

function entered(quantity) {
  const given = readFields()[quantity];
  person = { ...person, [quantity]: given / system[quantity].perCanonical };
}

let typing = 0;
for (const [input, quantity] of [[weightInput, "weight"], [feetInput, "height"], [heightInput, "height"]]) {
  input.addEventListener("input", () => {
    entered(quantity);
    clearTimeout(typing);
    typing = setTimeout(predict, TYPING_MILLISECONDS);
  });
}

for (const radio of document.querySelectorAll("[name=units]")) {
  radio.addEventListener("change", () => {
    system = SYSTEMS[radio.value];
    byId("weight-unit").textContent = system.weight.unit;
    byId("height-unit").textContent = system.height.unit;
    feetInput.hidden = byId("feet-unit").hidden = !system.height.feet;
    writeFields();
    surface.use(system);
    guarded(fillTable);
    predict();
  });
}

// Predicting

function complain(quantity, detail) {
  const [field, error] = [byId(`${quantity}-field`), byId(`${quantity}-error`)];
  field.classList.toggle("wrong", detail !== "");
  for (const input of field.querySelectorAll("input")) input.setAttribute("aria-invalid", String(detail !== ""));
  error.hidden = detail === "";
  error.textContent = detail;
}

const sentence = (text) => text[0].toUpperCase() + text.slice(1);

function showProblem(problem) {
  const at = ({ pointer }) => pointer.slice("#/".length).split("_")[0];
  const known = problem.errors.filter((error) => at(error) in person);
  for (const error of known) complain(at(error), `${sentence(error.detail)}.`);
  if (known.length === 0) fail(problem);
  showNothing("Nothing was predicted.");
  say(`Nothing was predicted: ${known.map(({ detail }) => detail).join("; ") || problem.message}.`);
}

const predictNewest = newestOnly(async (isNewest, asked, shown, version) => {
  if (asked === null) return;
  try {
    const answers = [post(`versions/${version}/predict?observe=false&explain=true`, asked)];
    if (champion !== null && version !== champion) answers.push(post(`versions/${champion}/predict?observe=false`, asked));
    const [answer, other] = await Promise.all(answers);
    if (!isNewest()) return;
    for (const quantity of ["weight", "height"]) complain(quantity, "");
    showAnswer(answer, shown, other);
    placeDot(answer);
    recovered();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    if (isNewest()) showProblem(problem);
  }
});

function predict() {
  const given = readFields();
  placeDot();
  for (const quantity of ["weight", "height"]) complain(quantity, "");
  const missing = Object.keys(given).filter((quantity) => Number.isNaN(given[quantity]));
  if (missing.length > 0) {
    for (const quantity of missing) {
      const input = byId(quantity);
      if (input.value.trim() !== "") complain(quantity, "A number is expected, such as 70 or 70.5.");
    }
    showNothing("Enter a weight and a height.");
    say("Enter a weight and a height.");
    predictNewest(null); // what was asked before is no longer wanted
  } else if (chosen !== null) {
    const asked = { [system.weight.name]: given.weight, [system.height.name]: given.height };
    predictNewest(asked, { ...given, system }, chosen);
  }
}

// The surface

const surface = new Surface({ plot: byId("plot"), canvas: byId("heat"), svg: byId("drawing"), dot: byId("dot") }, (weight, height) => {
  // The dot moves in steps that can be read: a tenth of a unit.
  const step = (value, field) => Number((value * field.perCanonical).toFixed(1)) / field.perCanonical;
  person = { weight: step(weight, system.weight), height: step(height, system.height) };
  writeFields();
  predict();
});

function placeDot(answer = null) {
  const { weight, height } = person;
  if (Number.isNaN(weight) || Number.isNaN(height)) return surface.place(null, "");
  const place = `${inWords(weight * system.weight.perCanonical, system.weight)}, ${inWords(height * system.height.perCanonical, system.height)}`;
  return surface.place([weight, height], answer ? `${place}: ${percent(answer.probability_female)} female` : place);
}

async function manifestOf(version) {
  if (!manifests.has(version)) manifests.set(version, await get(`versions/${version}`));
  return manifests.get(version);
}

async function drawn(version) {
  if (!surfaces.has(version)) {
    const manifest = await manifestOf(version);
    surfaces.set(version, await surfaceOf(manifest, (columns) => post(`versions/${version}/predict/columns?observe=false`, columns)));
  }
  return surfaces.get(version);
}

async function fillTable() {
  if (!byId("table").open || chosen === null || !surfaces.has(chosen)) return;
  const { weight, height } = surface.axes(8, 10);
  const rows = height.toReversed();
  const answer = await post(`versions/${chosen}/predict/columns?observe=false`, {
    weight_lb: rows.flatMap(() => weight.map(({ canonical }) => canonical)),
    height_in: rows.flatMap(({ canonical }) => weight.map(() => canonical)),
  });
  const cell = (name, text, scope) => Object.assign(document.createElement(name), { textContent: text }, scope ? { scope } : {});
  const line = (...cells) => {
    const made = document.createElement("tr");
    made.append(...cells);
    return made;
  };
  byId("table-head").replaceChildren(line(cell("td", ""), ...weight.map(({ text }) => cell("th", `${text} ${system.weight.unit}`, "col"))));
  byId("table-body").replaceChildren(
    ...rows.map(({ text }, row) =>
      line(
        cell("th", system.height.feet ? text : `${text} ${system.height.unit}`, "row"),
        ...weight.map((_, column) => cell("td", Math.round(100 * answer.probability_female[row * weight.length + column]))),
      ),
    ),
  );
}
byId("table").addEventListener("toggle", () => guarded(fillTable));

// Choosing a version

const registry = new Registry((version) => guarded(() => choose(version)));

function fillChooser() {
  const known = registry.versions.filter(({ problem }) => !problem);
  chooser.replaceChildren(
    ...known.map(({ model_version: version, aliases }) =>
      Object.assign(document.createElement("option"), { value: version, textContent: [version, ...aliases].join(" · ") }),
    ),
  );
  if (chosen !== null) chooser.value = chosen;
}
chooser.addEventListener("change", () => guarded(() => choose(chooser.value)));
byId("older").addEventListener("click", () =>
  guarded(async () => {
    await registry.more();
    fillChooser();
    registry.show(chosen);
  }),
);

async function choose(version) {
  chosen = version;
  chooser.value = version;
  registry.show(version);
  predict();
  showCard(await manifestOf(version));
  const compared = champion !== null && champion !== version;
  const [own, other] = await Promise.all([drawn(version), compared ? drawn(champion) : null]);
  if (chosen !== version) return;
  surface.show(own, other);
  byId("legend-champion").hidden = !compared;
  await fillTable();
}

// What can go wrong

function fail(problem) {
  const denied = problem.status === 401 || problem.status === 403;
  byId("token").hidden = !denied;
  byId("failure").hidden = denied;
  if (denied) byId("token-why").textContent = problem.status === 401 ? "This service answers only those who have a token." : `${sentence(problem.message)}.`;
  else byId("failure").textContent = `${sentence(problem.message)}.`;
}

function recovered() {
  byId("token").hidden = byId("failure").hidden = true;
}

async function guarded(work) {
  try {
    await work();
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    fail(problem);
  }
}

byId("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token-value").value);
  byId("token-value").value = "";
  guarded(start);
});

async function start() {
  registry.versions.length = 0;
  const aliases = await showLog();
  await registry.more();
  champion = aliases.champion === undefined ? null : String(aliases.champion);
  const first = champion ?? String(registry.versions.find(({ problem }) => !problem)?.model_version ?? "");
  recovered();
  if (first === "") throw new Problem(0, { detail: "there is no version yet: train one with stature train" });
  if (!registry.versions.some(({ model_version: version }) => String(version) === first)) {
    registry.versions.push({ ...(await summaryOf(first)) });
  }
  chosen = first;
  fillChooser();
  await choose(first);
}

// A champion older than the first page of versions, as a list would show it.
async function summaryOf(version) {
  const manifest = await manifestOf(version);
  return {
    model_version: manifest.number,
    aliases: manifest.aliases,
    created_at: manifest.created_at,
    data: manifest.data.source,
    layer_sizes: manifest.layer_sizes,
    metrics: manifest.evaluation.metrics,
  };
}

writeFields();
guarded(start);
