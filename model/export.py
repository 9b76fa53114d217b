"""One version, written so that it answers where Stature is not: as JSON, as a Python function, as an SQL expression.

Every number is written by its shortest digits that read back the same, so nothing is rounded on the way, and each form
gives the served probability to 1e-12. Outside the domain none gives any: Python raises ValueError, SQL says NULL.
"""

from __future__ import annotations

import json
from itertools import accumulate
from typing import TYPE_CHECKING

from model import units
from model.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from model.network.network import Network
    from model.predictor import Predictor
    from model.registry.version import Version

Pair = tuple[units.Field, units.Field]
"""The weight and the height that a form takes, each in its unit."""

PAIRS: dict[str, Pair] = {"metric": units.PAIRS[0], "imperial": units.PAIRS[1]}


def as_json(version: Version) -> str:
    """The numbers, and all that must be known to compute with them."""
    manifest, predictor = version.manifest, version.predictor
    document = {
        **version.identity,
        "digest": manifest.digest,
        "units": manifest.units.model_dump(),
        "domain": {field.name: [field.minimum, field.maximum] for field in units.FIELDS.values()},
        "kilograms_per_pound": units.KILOGRAMS_PER_POUND,
        "centimetres_per_inch": units.CENTIMETRES_PER_INCH,
        "labels": manifest.labels.model_dump(),
        "shift": predictor.shift,
        "scale": predictor.scale,
        "activation": "sigmoid",
        "layer_sizes": predictor.network.sizes,
        "layers": [
            {"weights": layer.weights.tolist(), "biases": layer.biases.tolist()} for layer in predictor.network.layers
        ],
    }
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def as_python(version: Version, pair: Pair) -> str:
    """A module of its own with one function, which computes as `Predictor.probability_female` does."""
    predictor = version.predictor
    weight, height = pair
    layers = "".join(
        "    (\n" + "".join(f"        ({tuple(weights)!r}, {bias!r}),\n" for weights, bias in neurons) + "    ),\n"
        for neurons in _layers(predictor)
    )
    return _PYTHON.format(
        made=_made(version),
        digest=version.manifest.digest,
        shift=predictor.shift,
        scale=predictor.scale,
        layers=layers,
        weight=weight.name,
        height=height.name,
        weight_in_words=weight.unit_in_words,
        height_in_words=height.unit_in_words,
        within=f"{weight.minimum!r} <= {weight.name} <= {weight.maximum!r} "
        f"and {height.minimum!r} <= {height.name} <= {height.maximum!r}",
        domain=_domain(pair),
        weight_lb=_canonical(weight.name, weight, repr),
        height_in=_canonical(height.name, height, repr),
    )


_PYTHON = '''\
"""The probability that the recorded gender of a person is female, from weight and height.

{made}
Digest: {digest}
It needs nothing but Python.
"""

import math
import operator

SHIFT = {shift!r}
SCALE = {scale!r}
"""Of the weight in pounds and the height in inches."""

LAYERS = (
{layers})
"""A layer is a row of neurons, a neuron its weights and its bias."""


def probability_female({weight}: float, {height}: float) -> float:
    """For a weight in {weight_in_words} and a height in {height_in_words}. ValueError outside the domain."""
    if not ({within}):
        raise ValueError("{weight} and {height} must be those of an adult: {domain}")
    activations = [({weight_lb} - SHIFT[0]) / SCALE[0], ({height_in} - SHIFT[1]) / SCALE[1]]
    for layer in LAYERS:
        activations = [_sigmoid(sum(map(operator.mul, weights, activations)) + bias) for weights, bias in layer]
    return activations[0]


def _sigmoid(total: float) -> float:
    # Far down the sigmoid is the exponential, to every digit, and the exponential of its opposite would overflow.
    return 1.0 / (1.0 + math.exp(-total)) if total > -700.0 else math.exp(total)
'''


def as_sql(version: Version, pair: Pair) -> str:
    """One expression over two columns, the same for DuckDB, SQLite and PostgreSQL. NULL and what is outside give NULL.

    The sigmoid of x is written (1 + tanh(x / 2)) / 2, which is the same function. It mentions x once, so that the
    layers can be nested into each other, and it has no exponential that could overflow or underflow, which PostgreSQL
    takes for an error. Raises SettingsError where the network is too large to be one expression.
    """
    predictor = version.predictor
    _check_that_sql_can_say_it(predictor)
    columns = [_sql_column(field) for field in pair]
    terms = [
        f"(({_canonical(column, field, _sql_number)} - {_sql_number(shift)}) / {_sql_number(scale)})"
        for column, field, shift, scale in zip(columns, pair, predictor.shift, predictor.scale, strict=True)
    ]
    *hidden, ((weights, bias),) = _layers(predictor)
    for layer in hidden:
        terms = [_sql_sigmoid(_sql_total(weights, terms, bias, " ")) for weights, bias in layer]
    inside = "\n  AND ".join(
        f"{column} BETWEEN {_sql_number(field.minimum)} AND {_sql_number(field.maximum)}"
        for column, field in zip(columns, pair, strict=True)
    )
    return (
        f"/* The probability that the recorded gender is female; NULL outside {_domain(pair)}.\n"
        f"   {_made(version)}\n"
        f"   Digest: {version.manifest.digest} */\n"
        f"CASE WHEN {inside}\n"
        f"THEN {_sql_sigmoid(_sql_total(weights, terms, bias, _NEW_LINE), _NEW_LINE)}\n"
        "END\n"
    )


MOST_NEURONS_IN_SQL = 1000
"""As often as they are written: some hundred kilobytes of SQL, which every engine still reads within its limits."""

_NEW_LINE = "\n  "
_LARGEST_WEIGHT_IN_SQL, _LARGEST_SHIFT_IN_SQL = 1e100, 1e50
_NOTHING_IN_SQL = 1e-150
"""A product must neither overflow nor underflow, which PostgreSQL takes for an error. A weight or bias below this adds
nothing that the sigmoid of a total could show."""


def _check_that_sql_can_say_it(predictor: Predictor) -> None:
    written = _neurons_written(predictor.network)
    if written > MOST_NEURONS_IN_SQL:
        sizes = "-".join(map(str, predictor.network.sizes))
        raise SettingsError(
            f"a network of {sizes} is too large for one SQL expression: a neuron is written again for each neuron that "
            f"it feeds, here {written:,} in all, and at most {MOST_NEURONS_IN_SQL:,} are. Export it as json or python"
        )
    for name, number, most in (
        ("weight or bias", max(abs(predictor.network.parameters).tolist()), _LARGEST_WEIGHT_IN_SQL),
        ("shift", max(map(abs, predictor.shift)), _LARGEST_SHIFT_IN_SQL),
        ("scale", max(*predictor.scale, *(1.0 / scale for scale in predictor.scale)), _LARGEST_SHIFT_IN_SQL),
    ):
        if number > most:
            raise SettingsError(
                f"a {name} of this network is so extreme that a database could overflow with it: "
                "export it as json or python"
            )


def _neurons_written(network: Network) -> int:
    """In a nested expression a neuron stands once for each way from it to the output."""
    neurons_from_the_output = network.sizes[:0:-1]
    return sum(accumulate(neurons_from_the_output, lambda ways, neurons: ways * neurons))


def _sql_column(field: units.Field) -> str:
    """Whatever number the column holds, as double precision: without it integers would be divided as integers."""
    return f"CAST({field.name} AS DOUBLE PRECISION)"


def _sql_number(number: float) -> str:
    """With an exponent: DuckDB then reads a double, and not a decimal that it would have to convert."""
    digits = repr(float(number))
    return digits if "e" in digits else f"{digits}e0"


def _sql_total(weights: list[float], terms: list[str], bias: float, space: str) -> str:
    """The terms in the order in which the served network adds them."""
    first, *rest = [f"{_sql_weight(weight)} * {term}" for weight, term in zip(weights, terms, strict=True)]
    rest.append(_sql_weight(bias))
    return first + "".join(f"{space}- {term[1:]}" if term.startswith("-") else f"{space}+ {term}" for term in rest)


def _sql_weight(weight: float) -> str:
    return _sql_number(weight if abs(weight) >= _NOTHING_IN_SQL else 0.0)


def _sql_sigmoid(total: str, space: str = "") -> str:
    end = space.rstrip(" ")
    return f"(0.5e0 + 0.5e0 * tanh(0.5e0 * ({space}{total}{end})))"


def _layers(predictor: Predictor) -> list[list[tuple[list[float], float]]]:
    """Layer by layer, the weights and the bias of each neuron."""
    return [list(zip(layer.weights.tolist(), layer.biases.tolist(), strict=True)) for layer in predictor.network.layers]


def _canonical(value: str, field: units.Field, write: Callable[[float], str]) -> str:
    """Pounds or inches, in Python as in SQL."""
    return value if field.per_canonical == 1.0 else f"{value} / {write(field.per_canonical)}"


def _made(version: Version) -> str:
    manifest = version.manifest
    return f"Made by `stature export` from version {manifest.number} of the model {manifest.model}."


def _domain(pair: Pair) -> str:
    return " and ".join(field.domain for field in pair)
