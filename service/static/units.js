// The three ways to enter a person, each field under the name that the API knows it by. Both factors are exact.

const KILOGRAMS_PER_POUND = 0.45359237;
const CENTIMETRES_PER_INCH = 2.54;

const POUNDS = { name: "weight_lb", unit: "lb", perCanonical: 1, digits: 1 };
const INCHES = { name: "height_in", unit: "in", perCanonical: 1, digits: 2 };

export const SYSTEMS = {
  metric: {
    weight: { name: "weight_kg", unit: "kg", perCanonical: KILOGRAMS_PER_POUND, digits: 1 },
    height: { name: "height_cm", unit: "cm", perCanonical: CENTIMETRES_PER_INCH, digits: 1 },
  },
  imperial: { weight: POUNDS, height: INCHES },
  feet: { weight: POUNDS, height: { ...INCHES, feet: true } },
};

// What someone typed, as a number: a comma will do for a point. NaN where it is none, or nothing.
export const number = (text) =>
  /^\s*[+-]?(\d+[.,]?\d*|[.,]\d+)\s*$/.test(text) ? Number(text.trim().replace(",", ".")) : NaN;

// At most so many decimals, and no zeros at the end.
export const short = (value, digits) => String(Number(value.toFixed(digits)));

// Feet and inches of a height in inches, so that rounding never leaves twelve inches.
export function inFeet(inches, digits) {
  const rounded = Number(inches.toFixed(digits));
  const feet = Math.floor(rounded / 12);
  return [feet, Number((rounded - 12 * feet).toFixed(digits))];
}

// A measurement in words: 73 kg, 182 cm, 5 ft 11.7 in.
export function inWords(value, field) {
  if (!field.feet) return `${short(value, field.digits)} ${field.unit}`;
  const [feet, inches] = inFeet(value, 1);
  return `${feet} ft ${inches} in`;
}

// A probability in per cent: whole in the middle, where more would only pretend; never 0 or 100.
export function percent(probability) {
  const value = 100 * probability;
  if (value < 0.1) return "< 0.1\u202f%";
  if (value > 99.9) return "> 99.9\u202f%";
  return `${value < 9.95 || value > 90.05 ? value.toFixed(1) : value.toFixed(0)}\u202f%`;
}
