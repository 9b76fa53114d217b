// The registry as a reader sees it: the versions with their metrics, the chosen one in full, and the log.

import { get, withToken } from "./api.js";
import { SYSTEMS, inWords } from "./units.js";

const byId = (id) => document.getElementById(id);
const METRICS = ["log_loss", "brier_score", "accuracy", "roc_auc"];
const POPULATIONS = { held_out: "held out", trained_on: "trained on", everyone: "of all" };
const RECORDS = 12;
const PAGE = 10;

const day = (moment) => moment.slice(0, 10);
const minute = (moment) => `${moment.slice(0, 10)} ${moment.slice(11, 16)} UTC`;

function make(name, attributes = {}, ...children) {
  const { current, ...properties } = attributes;
  const made = Object.assign(document.createElement(name), properties);
  if (current) made.setAttribute("aria-current", "true");
  made.append(...children);
  return made;
}

const tags = (aliases) => aliases.map((alias) => make("span", { className: `tag ${alias}` }, alias));

function row(version, chosen, choose) {
  const number = String(version.model_version);
  const button = make("button", { type: "button", onclick: () => choose(number), ariaLabel: `Choose version ${number}` }, number);
  const heading = make("th", { scope: "row" }, version.problem ? number : button);
  const aliases = make("td", {}, ...tags(version.aliases));
  if (version.problem) return make("tr", {}, heading, aliases, make("td", { colSpan: 7 }, version.problem));
  return make(
    "tr",
    { current: number === chosen },
    heading,
    aliases,
    make("td", {}, day(version.created_at)),
    make("td", {}, version.data),
    make("td", {}, version.layer_sizes.join("-")),
    ...METRICS.map((name) => make("td", { className: "figure" }, version.metrics[name].toFixed(4))),
  );
}

// Everything that is published, page by page, the newest first.
export class Registry {
  versions = [];
  #next = `versions?limit=${PAGE}`;
  #choose;

  constructor(choose) {
    this.#choose = choose;
  }

  // The next page. Paths in an answer begin at the service's root, which need not be the host's.
  async more() {
    const page = await get(this.#next);
    this.versions.push(...page.versions);
    this.#next = page.next?.replace(/^\//, "") ?? null;
    byId("older").hidden = this.#next === null;
  }

  show(chosen) {
    byId("versions").replaceChildren(...this.versions.map((version) => row(version, chosen, this.#choose)));
  }
}

// The end of the log, the newest record first. -> the aliases as they are now
export async function showLog() {
  const { model, log_number: last, aliases } = await get("aliases");
  const { records } = await get(`log?after=${Math.max(0, last - RECORDS)}&limit=${RECORDS}`);
  byId("log").replaceChildren(
    ...records.reverse().map((record) => {
      const what = [record.operation.name.replace("_", " "), record.operation.alias, record.operation.version].filter(Boolean).join(" ");
      const after = Object.entries(record.state.aliases).map(([alias, number]) => `${alias} ${number}`).join(", ");
      return make("li", {}, make("strong", {}, what), record.reason ? `: ${record.reason}` : "", make("span", { className: "small" }, `${record.number} · ${minute(record.at)} · ${record.by} · then ${after || "no alias"}`));
    }),
  );
  if (records.length === 0) byId("log").replaceChildren(make("li", {}, "Nothing was promoted yet."));
  byId("registry-summary").textContent = `Model ${model}, log record ${last}. A version is never changed once it is published.`;
  return aliases;
}

// What the manifest says of one version.
export function showCard(manifest) {
  const { data, trainer, inputs, evaluation, verdict, files, layer_sizes: sizes } = manifest;
  const interval = evaluation.intervals?.log_loss;
  const average = (gender) => {
    const [weight, height] = inputs[gender].mean;
    const { weight: kg, height: cm } = SYSTEMS.metric;
    return `${inputs[gender].people.toLocaleString("en")}, on average ${inWords(weight * kg.perCanonical, kg)} and ${inWords(height * cm.perCanonical, cm)}`;
  };
  const lines = [
    ["Network", `${sizes.join("-")}, trained by ${trainer.name} with seed ${trainer.seed}`],
    ["Data", `${data.source}: ${data.people.toLocaleString("en")} people, ${data.held_out_people.toLocaleString("en")} held out`],
    ["Male", average("male")],
    ["Female", average("female")],
    ["Measured on", `${evaluation.people.toLocaleString("en")} people ${POPULATIONS[evaluation.population]}`],
    ["Log-loss", `${evaluation.metrics.log_loss.toFixed(4)}${interval ? ` (${interval[0].toFixed(3)} to ${interval[1].toFixed(3)})` : ""}; the base rate alone has ${evaluation.base_rate.log_loss.toFixed(4)}`],
    ["Gate", `${verdict.promote ? "promote" : "do not promote"}: ${verdict.reason}`],
    ["Published", `${minute(manifest.created_at)} by ${manifest.created_by}`],
  ];
  if (files.report) {
    const link = make("a", { href: `versions/${manifest.number}/report` }, "training, calibration and subgroups");
    lines.push(["Report", withToken(link)]);
  }
  byId("card-title").textContent = `Version ${manifest.number}`;
  byId("card").replaceChildren(...lines.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}
