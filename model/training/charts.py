"""The pictures of a report, as SVG: drawn by matplotlib, which is imported here and nowhere else.

The same figures give the same bytes: no dates, no random names. Colours stay names (`var(--ink)`), which whoever shows
the picture gives a meaning, in the light and in the dark.
"""

from __future__ import annotations

import io
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from matplotlib.axes import Axes

    from model.network.network import Array
    from model.training.crowds import Cells

    Limits = tuple[tuple[float, float], tuple[float, float]]
    """From and to: kilograms, and centimetres."""
    Surface = tuple[Array, Array, Array]
    """(columns,) kilograms, (rows,) centimetres, (rows, columns) probability of female."""

_SIZE_INCHES = (3.9, 2.9)
_COLOURS = ("ink", "muted", "line", "female", "male")
# matplotlib knows no colour that depends on the reader: each is drawn as a shade of black, and named afterwards. Not as
# black itself, which an SVG leaves out.
_INK, _MUTED, _LINE, _FEMALE, _MALE = (f"#00000{number}" for number in range(1, len(_COLOURS) + 1))
_OF_GENDER, _IN_WORDS = {"female": _FEMALE, "male": _MALE}, {"female": "women", "male": "men"}
_SETTINGS: dict[Any, Any] = {
    "svg.hashsalt": "stature",  # instead of random names
    "svg.fonttype": "none",  # text as text, in the reader's own font
    "figure.subplot.left": 0.095,  # fixed, since a layout that looks for room draws everything twice
    "figure.subplot.right": 0.965,
    "figure.subplot.top": 0.915,
    "figure.subplot.bottom": 0.15,
    "figure.subplot.hspace": 0.32,
    "font.size": 9.0,
    "text.color": _INK,
    "axes.edgecolor": _LINE,
    "axes.labelcolor": _MUTED,
    "axes.titlecolor": _MUTED,
    "axes.titlelocation": "left",
    "axes.titlesize": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "grid.color": _LINE,
    "grid.linewidth": 0.5,
    "xtick.color": _LINE,
    "ytick.color": _LINE,
    "xtick.labelcolor": _MUTED,
    "ytick.labelcolor": _MUTED,
}
_DASHES = (0, (4, 3))
_SQUARE = 0.46 * np.array([(-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0)])
"""A little less than one wide, so that neighbours stay apart."""
_FAINTEST = 0.14
_FEW = 30


def loss_curve(losses: Sequence[tuple[int, float]], base_rate: float) -> str:
    """The loss over the people trained on, (epoch, loss), beside that of always answering the base rate."""
    epochs, values = np.array(losses, dtype=float).T
    with _drawing() as figure:
        axes = figure.subplots()
        axes.axhline(base_rate, color=_MUTED, linestyle=_DASHES, linewidth=1.0)
        axes.plot(epochs, values, color=_INK, marker="o" if len(losses) <= _FEW else "", markersize=3.0)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        lowest, highest = min(base_rate, *values), max(base_rate, *values)
        room = 0.12 * (highest - lowest)
        axes.set(title="loss", xlabel="epoch", ylim=(max(0.0, lowest - room), highest + room))
        _say(axes, "always the base rate", axes.get_xlim()[1], base_rate, ha="right")
        return _svg(figure)


def people_and_boundary(people: Cells, gender: str, limits: Limits, surface: Surface, points: Array | None) -> str:
    """Where the people of a gender are, and where the network doubts: the lines of .1, one half and .9."""
    with _drawing() as figure:
        axes = figure.subplots()
        squares = PolyCollection(
            list(people.centres[:, None, :] + people.size * _SQUARE),
            facecolors=[(*mpl.colors.to_rgb(_OF_GENDER[gender]), shade) for shade in _shades(people.people)],
            linewidths=0.0,
        )
        axes.add_collection(squares)
        if points is not None:
            axes.plot(*points.T, color=_OF_GENDER[gender], linestyle="", marker="o", markersize=7.0)
        kilograms, centimetres, probabilities = surface
        for level, width in ((0.1, 0.8), (0.5, 2.0), (0.9, 0.8)):
            if probabilities.min() < level < probabilities.max():
                line = axes.contour(kilograms, centimetres, probabilities, [level], colors=_INK, linewidths=width)
                axes.clabel(line, fmt=lambda value: f"{value:.1f}".lstrip("0"), fontsize=8.0)
        axes.set(title="height in cm", xlabel="weight in kg", xlim=limits[0], ylim=limits[1])
        _name(axes, gender)
        return _svg(figure)


def reliability(said: Array, was: Array, people: Array) -> str:
    """What was said against what was so, bin by bin, with the noise of so many people; below, how many they are."""
    lower, upper = _wilson(was, people)
    with _drawing() as figure:
        axes, counts = figure.subplots(2, sharex=True, height_ratios=(4, 1))
        axes.plot([0, 1], [0, 1], color=_MUTED, linestyle=_DASHES, linewidth=1.0)
        axes.vlines(said, lower, upper, color=_INK, linewidth=1.0)
        axes.plot(said, was, color=_INK, linestyle="", marker="o", markersize=5.0)
        axes.set(title="share of women", xlim=(0.0, 1.0), ylim=(0.0, 1.0), aspect="auto")
        counts.bar(said, people, width=0.05, color=_MUTED)
        counts.set(xlabel="probability of female that was said", ylim=(0.0, 1.5 * people.max()), yticks=())
        counts.grid(visible=False)
        for where, count in zip(said.tolist(), people.tolist(), strict=True):
            _say(counts, f"{count:,.0f}", where, count, ha="center", fontsize=7.0)
        counts.set_title("people", fontsize=8.0)
        return _svg(figure)


def roc(curve: Array) -> str:
    """Of the men and of the women, how many are called female as the threshold is lowered: (steps, 2)."""
    with _drawing() as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=_MUTED, linestyle=_DASHES, linewidth=1.0)
        axes.plot(*curve.T, color=_INK)
        axes.set(title="share of women called female", xlabel="share of men called female")
        axes.set(xlim=(0.0, 1.0), ylim=(0.0, 1.02))
        return _svg(figure)


def histogram(bins: Mapping[str, tuple[Array, Array]], quantity: str, unit: str) -> str:
    """How a measurement is spread among each gender: by gender the edges, and the people between them.

    The outermost bins reach far, so that they hold five people: the picture ends where they begin.
    """
    with _drawing() as figure:
        axes = figure.subplots()
        for gender, (edges, people) in bins.items():
            share = 100.0 * people / people.sum() / np.diff(edges)
            axes.stairs(share, edges, color=_OF_GENDER[gender], fill=True, alpha=0.25)
            axes.stairs(share, edges, color=_OF_GENDER[gender], linewidth=1.6, baseline=None)
        inner = np.concatenate([edges[1:-1] for edges, _ in bins.values()])
        if len(inner):
            room = 0.05 * np.ptp(inner) + 1.0
            axes.set_xlim(inner.min() - room, inner.max() + room)
        axes.set(title=f"% of each gender, per {unit}", xlabel=f"{quantity} in {unit}", ylim=(0.0, None))
        for line, gender in enumerate(_IN_WORDS):
            _name(axes, gender, line)
        return _svg(figure)


def _name(axes: Axes, gender: str, line: int = 0) -> None:
    """Who is meant by a colour, in the upper right corner."""
    text, colour = _IN_WORDS[gender], _OF_GENDER[gender]
    axes.text(0.98, 0.93 - 0.09 * line, text, transform=axes.transAxes, color=colour, ha="right")


def _say(axes: Axes, text: str, x: float, y: float, **how: Any) -> None:  # noqa: ANN401 - matplotlib's own
    """A word just above a place in the picture."""
    defaults: dict[str, Any] = {"color": _MUTED, "fontsize": 8.0}
    axes.annotate(text, (x, y), (0, 2), textcoords="offset points", **defaults | how)


def _shades(people: Array) -> Array:
    """Opacities: of the square root, since most cells hold few."""
    shades: Array = _FAINTEST + (1.0 - _FAINTEST) * np.sqrt(people / max(people.max(initial=0.0), 1.0))
    return shades


def _wilson(share: Array, people: Array) -> tuple[Array, Array]:
    """The 95 % interval of a share (Wilson 1927): it stays between 0 and 1, and is not empty at either end."""
    z = 1.96
    centre = (share + z**2 / (2.0 * people)) / (1.0 + z**2 / people)
    spread = z / (1.0 + z**2 / people) * np.sqrt(share * (1.0 - share) / people + (z / (2.0 * people)) ** 2)
    return centre - spread, centre + spread


@contextmanager
def _drawing() -> Iterator[Figure]:
    """A figure, drawn as we draw whatever the user's own settings of matplotlib are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_SETTINGS)
        yield Figure(figsize=_SIZE_INCHES)


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = buffer.getvalue()
    svg = re.sub("#00000([1-5])", lambda found: f"var(--{_COLOURS[int(found[1]) - 1]})", svg[svg.index("<svg") :])
    return re.sub('font-family: [^;"]*', "font-family: system-ui, sans-serif", svg)
