"""The report of a training: one page of HTML that needs nothing else, for someone who has never seen the project.

    draft, predictor, people, losses ──► pictures ──► with the model card, templates/report.html.jinja ──► HTML

The same training gives the same bytes: nothing here knows the time, nor the number that the version will have. Pictures
need matplotlib, which not everyone who trains must have; without it there is no report.
"""

from __future__ import annotations

import base64
import hashlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from model.network.network import Network
from model.training.model_card import card
from model.training.slices import slice_in_words
from model.training.together import FEWEST_TOGETHER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from model.predictor import Predictor
    from model.registry.manifest import Draft, Evaluation, Metrics
    from model.training.people import People
    from model.training.pictures import Pictures

_TEMPLATES = Path(__file__).with_name("templates")
_METRICS = {
    "log_loss": "log-loss",
    "brier_score": "Brier score",
    "accuracy": "accuracy",
    "roc_auc": "ROC AUC",
    "calibration_error": "calibration error",
}


def is_available() -> bool:
    """Whether there is what pictures are drawn with."""
    try:
        return find_spec("matplotlib") is not None
    except ValueError:  # which is what find_spec makes of a module that was barred
        return False


def render(
    draft: Draft, predictor: Predictor, people: People, losses: Sequence[tuple[int, float]], *, model: str
) -> bytes:
    """The report of this training. `losses` are (epoch, loss), if there are any to show."""
    from model.training import pictures  # noqa: PLC0415 - matplotlib: an extra, and slow to import

    shipped = people.source if people.are_shipped else None
    return page(draft, pictures.draw(draft, predictor, people, losses), model=model, shipped=shipped)


def page(draft: Draft, pictures: Pictures, *, model: str, shipped: str | None) -> bytes:
    """The page with these pictures. `shipped` says which of the shipped data it was trained on, if it was."""
    evaluation = draft.evaluation
    palette, style = (_TEMPLATES.joinpath(name).read_text(encoding="utf-8") for name in ("palette.css", "report.css"))
    style = palette + style
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["in_words"] = slice_in_words
    environment.filters["image"] = lambda svg: _image(svg, palette)
    rendered = environment.get_template("report.html.jinja").render(
        model=model,
        draft=draft,
        evaluation=evaluation,
        measured=_measured(evaluation),
        metrics=_METRICS,
        pictures=pictures,
        shipped=shipped,
        style=Markup(style),  # noqa: S704 - our own files
        style_hash=f"sha256-{base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()}",
        highlights=list(_highlights(draft)),
        card=card(draft, shipped),
        facts=list(_facts(draft)),
        fewest=FEWEST_TOGETHER,
    )
    return rendered.encode("utf-8", "replace")


def _measured(evaluation: Evaluation) -> list[tuple[str, Metrics]]:
    """The columns of the table of metrics."""
    columns = [
        ("this network", evaluation.metrics),
        ("logistic regression", evaluation.logistic_regression),
        ("the base rate", evaluation.base_rate),
    ]
    return [(name, metrics) for name, metrics in columns if metrics is not None]


def _highlights(draft: Draft) -> Iterator[tuple[str, str, str]]:
    """What one looks at first: a name, a figure, and what to hold it against."""
    metrics, base_rate = draft.evaluation.metrics, draft.evaluation.base_rate
    yield "Right answers", _percent(metrics.accuracy), f"the base rate: {_percent(base_rate.accuracy)}"
    yield "Log-loss", f"{metrics.log_loss:.4f}", f"lower is better; the base rate: {base_rate.log_loss:.4f}"
    yield "Ranking, ROC AUC", f"{metrics.roc_auc:.3f}", "1 is perfect, .5 is a coin"
    parameters = Network.count_parameters(draft.layer_sizes)
    yield "Network", "-".join(map(str, draft.layer_sizes)), f"neurons, layer by layer; {parameters:,} parameters"


def _facts(draft: Draft) -> Iterator[tuple[str, str]]:
    """What one needs to know to get the same network again."""
    data, trainer, software = draft.data, draft.trainer, draft.software
    yield "network", f"`{draft.digest}`"
    yield "file", f"`{data.source}`: {data.people:,} people in {data.distinct_rows:,} distinct rows"
    yield "its fingerprint", f"`{data.fingerprint}`"
    if data.order_fingerprint is not None:
        yield "of its order", f"`{data.order_fingerprint}`"
    yield "people", f"{data.trained_people:,} trained on, {data.held_out_people:,} held out"
    for reason, count in data.left_out.items():
        yield "left out", f"{count:,} x {reason}"
    settings = [f"{name} {value}" for name, value in trainer.hyperparameters.items()]
    yield "trainer", ", ".join([trainer.name, trainer.loss.replace("_", " "), *settings, f"seed {trainer.seed}"])
    if draft.recalibration is not None:
        moved = draft.recalibration
        yield (
            "recalibrated",
            f"the log-odds of `{moved.parent_digest}` times {moved.slope:.6g}, plus {moved.intercept:.6g}",
        )
    starts = " of all starts" if trainer.hyperparameters.get("restarts", 1) > 1 else ""
    yield (
        "ended",
        f"after {trainer.epochs:,} epochs{starts}, at a loss of {trainer.final_loss:.6f} on the people trained on",
    )
    for layer, neuron in trainer.saturated_units or ():
        yield "saturated", f"neuron {neuron} of hidden layer {layer}, which answers nearly the same for everybody"
    yield "shift, scale", f"{_pair(draft.shift)} and {_pair(draft.scale)}, of weight in lb and height in in"
    yield (
        "software",
        f"Stature {software.stature}, Python {software.python}, numpy {software.numpy}, {software.platform}",
    )


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _pair(pair: tuple[float, float]) -> str:
    return f"({pair[0]:.6g}, {pair[1]:.6g})"


def _image(svg: str, palette: str) -> str:
    """The picture as an address that holds it all, with the colours of the page."""
    content = svg.replace("<defs>", f"<style>{palette}</style><defs>", 1)
    return f"data:image/svg+xml;base64,{base64.b64encode(content.encode()).decode()}"
