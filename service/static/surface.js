// The decision surface: what a version says on a grid of people, those it was trained on, and the dot of one person.
//
// Places are (pounds, inches) all through; only the axes are written in the units that were chosen.

import { contour, joined } from "./contour.js";
import { SYSTEMS, inFeet, short } from "./units.js";

const COLUMNS = 64;
const ROWS = 48;
const MARGIN = { left: 46, right: 34, top: 34, bottom: 42 };
// The model's domain, a little inside, so that a corner of the grid is never refused.
const DOMAIN = { weight: [45, 881], height: [40, 98] };
const GENDERS = ["male", "female"];

// The people trained on lie within this rectangle, all but one in a thousand.
function bounds({ training_range: { means, covariances, radius } }) {
  const [weight, height] = [0, 1].map((axis) => {
    const reach = (side) => means.map((mean, gender) => mean[axis] + side * radius * Math.sqrt(covariances[gender][axis][axis]));
    return [Math.min(...reach(-1)), Math.max(...reach(1))];
  });
  const within = ([low, high], [least, most]) => [Math.max(low, least), Math.min(high, most)];
  return { weight: within(weight, DOMAIN.weight), height: within(height, DOMAIN.height) };
}

const between = ([low, high], share) => low + share * (high - low);

// All that is drawn of a version; `predictColumns` asks the service.
export async function surfaceOf(manifest, predictColumns) {
  const { weight, height } = bounds(manifest);
  const weights = [];
  const heights = [];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      weights.push(between(weight, column / (COLUMNS - 1)));
      heights.push(between(height, row / (ROWS - 1)));
    }
  }
  const answer = await predictColumns({ weight_lb: weights, height_in: heights });
  return { manifest, weight, height, probabilities: answer.probability_female };
}

// Points at a Mahalanobis distance from the centre of one gender's people.
function ellipse([weight, height], [[a, b], [, d]], radius) {
  const down = Math.sqrt(a);
  const across = b / down;
  const rest = Math.sqrt(d - across * across);
  return Array.from({ length: 73 }, (_, step) => {
    const [cosine, sine] = [Math.cos((step * Math.PI) / 36), Math.sin((step * Math.PI) / 36)];
    return [weight + radius * down * cosine, height + radius * (across * cosine + rest * sine)];
  });
}

// Within this distance is this share of a normal cloud in the plane.
const radiusOf = (share) => Math.sqrt(-2 * Math.log(1 - share));

// Round values from low to high, about so many of them.
export function ticks(low, high, about, steps = [1, 2, 5, 10, 20, 25, 50, 100]) {
  const step = steps.find((one) => (high - low) / one <= about) ?? 200;
  const first = Math.ceil(low / step) * step;
  return Array.from({ length: Math.max(0, Math.floor((high - first) / step) + 1) }, (_, index) => first + index * step);
}

export class Surface {
  #parts;
  #surface = null;
  #champion = null;
  #person = null;
  #system = SYSTEMS.metric;

  // `moved` is told (pounds, inches) whenever the dot was dragged or pushed.
  constructor(parts, moved) {
    this.#parts = parts;
    new ResizeObserver(() => this.#draw()).observe(parts.plot);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#draw());
    this.#listen(moved);
  }

  show(surface, champion = null) {
    [this.#surface, this.#champion] = [surface, champion];
    this.#draw();
  }

  use(system) {
    this.#system = system;
    this.#draw();
  }

  // The person's place, or null; and what a screen reader says of it.
  place(person, said) {
    this.#person = person;
    this.#parts.dot.setAttribute("aria-valuetext", said);
    this.#placeDot();
  }

  // The ticks of both axes, in the units chosen and in pounds and inches.
  axes(forWeight = 7, forHeight = 7) {
    const { weight, height } = this.#system;
    const scaled = (range, field, about, steps) =>
      ticks(range[0] * field.perCanonical, range[1] * field.perCanonical, about, steps).map((value) => ({
        value,
        canonical: value / field.perCanonical,
        text: field.feet ? `${inFeet(value, 0).join("′")}″` : short(value, 0),
      }));
    return {
      weight: scaled(this.#surface.weight, weight, forWeight),
      height: scaled(this.#surface.height, height, forHeight, height.feet ? [1, 2, 3, 6, 12] : undefined),
    };
  }

  #size() {
    const width = this.#parts.plot.clientWidth;
    const height = Math.round(Math.min(Math.max(width * 0.74, 280), 560));
    return { width, height, inner: { width: width - MARGIN.left - MARGIN.right, height: height - MARGIN.top - MARGIN.bottom } };
  }

  #toScreen([weight, height]) {
    const { inner } = this.#size();
    const share = (value, [low, high]) => (value - low) / (high - low);
    return [
      MARGIN.left + share(weight, this.#surface.weight) * inner.width,
      MARGIN.top + (1 - share(height, this.#surface.height)) * inner.height,
    ];
  }

  #draw() {
    if (!this.#surface || !this.#parts.plot.clientWidth) return;
    const { width, height, inner } = this.#size();
    this.#heat(inner);
    const { svg } = this.#parts;
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.setAttribute("height", height);
    const line = (points, close = "") => `M${points.map((point) => point.map((value) => value.toFixed(1)).join(" ")).join("L")}${close}`;
    const level = ({ probabilities, weight, height: heights }, value) =>
      joined(contour(probabilities, COLUMNS, value))
        .map((points) => line(points.map(([column, row]) => this.#toScreen([between(weight, column / (COLUMNS - 1)), between(heights, row / (ROWS - 1))]))))
        .join("");
    const { training_range: range, inputs } = this.#surface.manifest;
    const around = (mean, covariance, radius) => line(ellipse(mean, covariance, radius).map((point) => this.#toScreen(point)), "Z");
    const frame = { x: MARGIN.left, y: MARGIN.top, width: inner.width, height: inner.height };
    svg.replaceChildren(
      element("defs", {}, [
        element("clipPath", { id: "inside" }, [element("rect", frame)]),
        element("mask", { id: "outside" }, [
          element("rect", { ...frame, fill: "#fff" }),
          ...range.means.map((mean, gender) => element("path", { d: around(mean, range.covariances[gender], range.radius), class: "hole" })),
        ]),
      ]),
      ...this.#axes(width, height, inner),
      ...this.#margins(inner),
      element("g", { "clip-path": "url(#inside)" }, [
        element("rect", { ...frame, class: "haze", mask: "url(#outside)" }),
        ...GENDERS.flatMap((gender) =>
          [0.5, 0.9].map((share) => element("path", { class: "people", d: around(inputs[gender].mean, inputs[gender].covariance, radiusOf(share)) })),
        ),
        element("path", { class: "band", d: level(this.#surface, 0.4) + level(this.#surface, 0.6) }),
        element("path", { class: "half", d: level(this.#surface, 0.5) }),
        element("path", { class: "champion", d: this.#champion ? level(this.#champion, 0.5) : "" }),
        ...GENDERS.map((gender) => {
          const [x, y] = this.#toScreen(inputs[gender].mean);
          return element("text", { class: "name", x, y: y + 4 }, [gender]);
        }),
        element("path", { class: "cross", id: "cross" }),
      ]),
    );
    this.#placeDot();
  }

  #heat(inner) {
    const { canvas } = this.#parts;
    const colours = getComputedStyle(canvas);
    const [male, middle, female] = ["--male", "--middle", "--female"].map((name) => rgb(colours.getPropertyValue(name)));
    const image = new ImageData(COLUMNS, ROWS);
    this.#surface.probabilities.forEach((probability, index) => {
      const row = ROWS - 1 - Math.floor(index / COLUMNS);
      const [from, to, share] = probability < 0.5 ? [male, middle, 2 * probability] : [middle, female, 2 * probability - 1];
      image.data.set([...from.map((value, channel) => value + share * (to[channel] - value)), 255], 4 * (row * COLUMNS + (index % COLUMNS)));
    });
    const small = new OffscreenCanvas(COLUMNS, ROWS);
    small.getContext("2d").putImageData(image, 0, 0);
    const ratio = window.devicePixelRatio;
    [canvas.width, canvas.height] = [Math.round(inner.width * ratio), Math.round(inner.height * ratio)];
    Object.assign(canvas.style, { left: `${MARGIN.left}px`, top: `${MARGIN.top}px`, width: `${inner.width}px`, height: `${inner.height}px` });
    // A grid's values are at its points, the centres of the pixels, so half a pixel is cut off on each side.
    canvas.getContext("2d").drawImage(small, 0.5, 0.5, COLUMNS - 1, ROWS - 1, 0, 0, canvas.width, canvas.height);
  }

  #axes(width, height, inner) {
    const { weight, height: heights } = this.axes(width < 420 ? 5 : 8, 8);
    const bottom = MARGIN.top + inner.height;
    return [
      ...weight.flatMap(({ canonical, text }) => {
        const [x] = this.#toScreen([canonical, 0]);
        return [element("path", { class: "grid", d: `M${x} ${bottom}v5` }), element("text", { x, y: bottom + 18, "text-anchor": "middle" }, [text])];
      }),
      ...heights.flatMap(({ canonical, text }) => {
        const [, y] = this.#toScreen([0, canonical]);
        return [element("path", { class: "grid", d: `M${MARGIN.left} ${y}h-5` }), element("text", { x: MARGIN.left - 9, y: y + 4, "text-anchor": "end" }, [text])];
      }),
      element("text", { x: MARGIN.left + inner.width, y: height - 5, "text-anchor": "end" }, [`weight, ${this.#system.weight.unit}`]),
      element("text", { x: 0, y: 12 }, [`height, ${this.#system.height.feet ? "ft in" : this.#system.height.unit}`]),
    ];
  }

  // How many people are how heavy, along the top, and how tall, along the right: areas of one size for each gender.
  #margins(inner) {
    const bars = (quantity) => {
      const bins = GENDERS.map((gender) => {
        const { edges, people } = this.#surface.manifest.inputs[gender].histograms[quantity];
        const total = people.reduce((sum, count) => sum + count, 0);
        return people.map((count, bin) => [edges[bin], edges[bin + 1], count / total / (edges[bin + 1] - edges[bin])]);
      });
      const tallest = Math.max(...bins.flat().map(([, , density]) => density));
      return bins.map((ofGender) =>
        ofGender
          .map(([from, to, density]) => [...[from, to].map((edge) => clamp(edge, this.#surface[quantity])), density / tallest])
          .filter(([from, to]) => from < to),
      );
    };
    const round = (value) => value.toFixed(1);
    const [top, right] = [MARGIN.top - 3, MARGIN.left + inner.width + 3];
    const above = ([from, to, share]) => {
      const [[start], [end]] = [this.#toScreen([from, 0]), this.#toScreen([to, 0])];
      return `M${round(start)} ${top}v${round(-26 * share)}H${round(end)}V${top}Z`;
    };
    const beside = ([from, to, share]) => {
      const [[, start], [, end]] = [this.#toScreen([0, from]), this.#toScreen([0, to])];
      return `M${right} ${round(start)}h${round(28 * share)}V${round(end)}H${right}Z`;
    };
    const [byWeight, byHeight] = [bars("weight"), bars("height")];
    return GENDERS.map((gender, index) =>
      element("path", { class: `shade-${gender}`, d: byWeight[index].map(above).join("") + byHeight[index].map(beside).join("") }),
    );
  }

  #placeDot() {
    const { dot, svg } = this.#parts;
    dot.hidden = !this.#surface || !this.#person;
    if (dot.hidden) return;
    const { weight, height } = this.#surface;
    const place = [clamp(this.#person[0], weight), clamp(this.#person[1], height)];
    const [x, y] = this.#toScreen(place);
    Object.assign(dot.style, { left: `${x}px`, top: `${y}px` });
    dot.setAttribute("aria-valuemin", Math.round(weight[0] * this.#system.weight.perCanonical));
    dot.setAttribute("aria-valuemax", Math.round(weight[1] * this.#system.weight.perCanonical));
    dot.setAttribute("aria-valuenow", short(place[0] * this.#system.weight.perCanonical, 1));
    svg.querySelector("#cross")?.setAttribute("d", `M${x} ${MARGIN.top + this.#size().inner.height}V${y}H${MARGIN.left}`);
  }

  #listen(moved) {
    const { plot, dot } = this.#parts;
    const move = (weight, height) => moved(clamp(weight, this.#surface.weight), clamp(height, this.#surface.height));
    const drag = (event) => {
      const box = plot.getBoundingClientRect();
      const { inner } = this.#size();
      move(
        between(this.#surface.weight, (event.clientX - box.left - MARGIN.left) / inner.width),
        between(this.#surface.height, 1 - (event.clientY - box.top - MARGIN.top) / inner.height),
      );
    };
    plot.addEventListener("pointerdown", (event) => {
      if (!this.#surface || event.button !== 0) return;
      // A finger beside the dot scrolls the page, or taps: the click that follows moves the dot.
      if (event.pointerType !== "mouse" && event.target !== dot) return;
      event.preventDefault();
      plot.setPointerCapture(event.pointerId);
      drag(event);
      dot.focus({ preventScroll: true });
    });
    plot.addEventListener("pointermove", (event) => {
      if (plot.hasPointerCapture(event.pointerId)) drag(event);
    });
    plot.addEventListener("click", (event) => {
      if (this.#surface) drag(event);
    });
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1], PageUp: [0, 5], PageDown: [0, -5], Home: [-5, 0], End: [5, 0] };
    dot.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step || !this.#person) return;
      event.preventDefault();
      const { weight, height } = this.#system;
      const by = event.shiftKey ? 5 : 1;
      move(this.#person[0] + (by * step[0]) / weight.perCanonical, this.#person[1] + (by * step[1]) / height.perCanonical);
    });
  }
}

const clamp = (value, [low, high]) => Math.min(Math.max(value, low), high);

const rgb = (colour) => [1, 3, 5].map((start) => parseInt(colour.trim().slice(start, start + 2), 16));

function element(name, attributes, children = []) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}
