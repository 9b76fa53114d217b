// What a probability means, in words and on a scale, and what moved it there.

import { inWords, percent } from "./units.js";

const byId = (id) => document.getElementById(id);

// Nearly half of all answers in here are wrong, so none is given.
const UNSURE = [0.4, 0.6];

function verdict(probability) {
  if (probability >= UNSURE[0] && probability <= UNSURE[1]) return "Cannot tell";
  return `Probably recorded as ${probability < 0.5 ? "male" : "female"}`;
}

function meaning(probability) {
  if (probability >= UNSURE[0] && probability <= UNSURE[1]) {
    return "Between 40 % and 60 % half of all answers would be wrong, so there is none.";
  }
  const women = Math.round(100 * probability);
  if (women === 0) return "Of a hundred people like this, the version expects next to none to be recorded as female.";
  if (women === 100) return "Of a hundred people like this, the version expects next to all to be recorded as female.";
  return `Of a hundred people like this, the version expects about ${women} to be recorded as female and ${100 - women} as male.`;
}

export function showNothing(instead) {
  byId("answer").classList.add("stale");
  byId("percent").textContent = "–";
  byId("verdict").textContent = "";
  byId("meaning").textContent = instead;
  byId("other").textContent = "";
  byId("range").hidden = true;
  byId("explanation").hidden = true;
}

let speaking = 0;

// Said when the number has come to rest, not at every step of a drag.
export function say(text) {
  clearTimeout(speaking);
  speaking = setTimeout(() => {
    byId("said").textContent = text;
  }, 600);
}

export function showAnswer(answer, person, champion) {
  const probability = answer.probability_female;
  byId("answer").classList.remove("stale");
  byId("percent").textContent = percent(probability);
  byId("mark").style.left = `${100 * probability}%`;
  byId("verdict").textContent = verdict(probability);
  byId("meaning").textContent = meaning(probability);
  byId("range").hidden = answer.in_training_range;
  byId("range").textContent = answer.in_training_range
    ? ""
    : "Outside the training range: hardly anyone like this was trained on, so the number is a guess far from the data.";
  byId("other").textContent = champion
    ? `Version ${answer.model_version}; the champion, version ${champion.model_version}, says ${percent(champion.probability_female)}.`
    : "";
  const range = answer.in_training_range ? "" : " Outside the training range.";
  say(`${percent(probability)} female. ${verdict(probability)}.${range}`);
  showExplanation(answer, person);
}

// From the average of the people trained on to this person, a step for each measurement.
function showExplanation({ explanation, probability_female: probability }, { weight, height, system }) {
  byId("explanation").hidden = !explanation;
  if (!explanation) return;
  const { baseline, contributions } = explanation;
  const start = baseline.probability_female;
  const middle = start + contributions.weight;
  const average = [baseline.weight_lb * system.weight.perCanonical, baseline.height_in * system.height.perCanonical];
  byId("steps").replaceChildren(
    row("Average person", `${inWords(average[0], system.weight)}, ${inWords(average[1], system.height)}`, 0, start, percent(start)),
    row("Weight", inWords(weight, system.weight), start, middle, points(contributions.weight)),
    row("Height", inWords(height, system.height), middle, probability, points(contributions.height)),
    row("This person", "", 0, probability, percent(probability)),
  );
}

const points = (difference) => `${difference < 0 ? "−" : "+"}${Math.abs(100 * difference).toFixed(1)}`;

function row(name, detail, from, to, figure) {
  const made = document.createElement("tr");
  const heading = Object.assign(document.createElement("th"), { scope: "row", textContent: `${name} ` });
  heading.append(Object.assign(document.createElement("span"), { className: "small", textContent: detail }));
  const track = Object.assign(document.createElement("td"), { className: "track", ariaHidden: "true" });
  const bar = document.createElement("b");
  bar.className = from === 0 ? "level" : to < from ? "down" : "up";
  bar.style.left = `${100 * Math.max(0, Math.min(from, to))}%`;
  bar.style.width = `${100 * Math.min(1, Math.abs(to - from))}%`;
  const scale = document.createElement("i");
  scale.append(bar);
  track.append(scale);
  made.append(heading, track, Object.assign(document.createElement("td"), { textContent: figure }));
  return made;
}
