"""The model card: what a network is for and not for, whom it was trained on, where it is wrong, what to do elsewhere.

One source for every report and for docs/model-card.md, which is this of the shipped data and the defaults:

    python -m model.training.model_card > docs/model-card.md
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from model import units

if TYPE_CHECKING:
    from model.registry.manifest import Band, Draft, Evaluation

MIDDLE_IN = 66.0
"""About where, of all heights, men and women are told apart; an edge of the slices of an evaluation."""
_LINE = 120


@dataclass(frozen=True)
class Section:
    """A title, what is said under it, and what is listed. Backquotes enclose what is typed."""

    title: str
    paragraphs: tuple[str, ...] = ()
    items: tuple[str, ...] = ()
    groups: tuple[Group, ...] = ()


@dataclass(frozen=True)
class Group:
    """Some of the people who judged, and how many of them were called wrong."""

    name: str
    people: int
    wrong: int

    @property
    def share_wrong(self) -> float:
        return self.wrong / self.people


def card(draft: Draft, shipped: str | None) -> tuple[Section, ...]:
    """The card of a version. `shipped`: which of the shipped data it was trained on, if it was."""
    return (
        Section(
            "What it is for",
            (
                "It answers, for the weight and height of an adult, with the probability that a health survey would "
                "have recorded this person as female. It is for teaching how a small neural network is made, and a "
                "pattern for small model services.",
            ),
        ),
        Section(
            "What it is not for",
            items=(
                "It must not decide about a person, nor fill in a record.",
                "It says nothing of anyone's identity: it was trained on the sex that was recorded. Trans, intersex "
                "and non-binary people were not measured as such.",
                "It is not for children, nor for anyone outside of 20 to 400 kg and 100 to 250 cm, whom it refuses.",
                "Classifying people by protected traits from body data may be regulated where you are.",
            ),
        ),
        Section("Whom it was trained on", _trained_on(draft, shipped)),
        _where_it_is_wrong(draft.evaluation),
        Section(
            "What was measured elsewhere",
            (
                "Of networks like this one, trained on the shipped sample of 6,000 adults of the United States and "
                "measured on people who are not in it. None of these figures was taken by this training.",
            ),
            (
                "Other adults of the United States: with 2 hidden neurons a log-loss of .3825, an accuracy of .829 "
                "and a ROC AUC of .907; with 8, .3817, .830 and .908. Logistic regression has .387, .828 and .906. "
                "Gradient boosting, nearest neighbours, kernel densities and splines end between .379 and .384: "
                "weight and height tell little more.",
                "Adults of another population: the network still ranks them (ROC AUC .9), but its probabilities are "
                "no longer right.",
                "Children do not fit at all: a log-loss of 4.5 at ages 2 to 9, and of .66 at 13 to 15, where a "
                "coin has .69.",
                "Values rounded to whole kilograms and centimetres cost nothing (.0005 of log-loss). How far off "
                "people are who report their own weight and height was not measured.",
            ),
        ),
        Section(
            "For people of another population",
            (
                "Do not trust the probabilities before they are measured on people of your own whose gender is "
                "recorded: `stature evaluate VERSION --data FILE`. If they are not right, `stature recalibrate VERSION "
                "--data FILE` makes a version that keeps the ranking and has them right, by two parameters that it "
                "fits on your people; `stature train --data FILE` makes a network of your own.",
            ),
        ),
    )


def as_markdown(sections: tuple[Section, ...]) -> str:
    """The sections as a document has them."""
    lines: list[str] = []
    for section in sections:
        lines += [f"## {section.title}", ""]
        for paragraph in section.paragraphs:
            lines += [_wrapped(paragraph), ""]
        if section.items:
            lines += [*(_wrapped(item, bullet="- ") for item in section.items), ""]
        if section.groups:
            lines += ["| held-out people | how many | called wrong | |", "|---|---:|---:|---:|"]
            lines += [
                f"| {group.name} | {group.people:,} | {group.wrong:,} | {group.share_wrong:.0%} |"
                for group in section.groups
            ]
            lines.append("")
    return "\n".join(lines)


def _wrapped(text: str, bullet: str = "") -> str:
    return textwrap.fill(
        text,
        _LINE,
        initial_indent=bullet,
        subsequent_indent=" " * len(bullet),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _trained_on(draft: Draft, shipped: str | None) -> tuple[str, ...]:
    women, men = draft.inputs.female.people, draft.inputs.male.people
    counted = f"{women + men:,} people: {women:,} women and {men:,} men, as recorded."
    match shipped:
        case "nhanes":
            return (
                f"{counted} They are from a sample of 6,000 adults, 18 and over, of the United States, whom the "
                "National Health and Nutrition Examination Survey measured from 2009 to 2012. Weight and height were "
                "measured, not reported; gender is the sex that the survey recorded, male or female. The sample is "
                "unweighted, and pregnant women are included.",
            )
        case "tutorial":
            return (
                f"{counted} They are the four of the tutorial, made up to show how a network learns, and too few to "
                "learn anything of real people from: the network has them by heart.",
            )
        case _:
            return (
                f"{counted} Stature knows them from a file only. Who they are, who measured them, and how their gender "
                "was recorded, whoever trained on them must tell those who use the answers.",
            )


def _where_it_is_wrong(evaluation: Evaluation) -> Section:
    """From what the manifest tells, and so of at least five people each, as everything there."""
    if evaluation.population != "held_out":
        return Section("Where it is wrong", ("Nobody was held out to measure it on.",))
    middle = f"{MIDDLE_IN * units.CENTIMETRES_PER_INCH:.0f} cm ({MIDDLE_IN:.0f} in)"
    found = (
        Group("everyone", evaluation.people, round(evaluation.people * (1.0 - evaluation.metrics.accuracy))),
        _at_heights(f"men below {middle}", evaluation, "male", (None, MIDDLE_IN)),
        _at_heights(f"women from {middle}", evaluation, "female", (MIDDLE_IN, None)),
        _in_doubt(evaluation),
    )
    return Section(
        "Where it is wrong",
        (
            "Weight and height do not tell everyone apart. Short men are taken for women and tall women for men, and "
            "between .4 and .6 the answer is little better than a coin: it means that one cannot tell.",
        ),
        groups=tuple(group for group in found if group is not None),
    )


def _at_heights(name: str, evaluation: Evaluation, gender: str, heights_in: Band) -> Group | None:
    """The slices of a gender that lie in a band of height, if it begins and ends where some of them do."""
    lower, upper = heights_in
    inside = [
        found
        for found in evaluation.slices
        if found.gender == gender
        and found.height_in is not None
        and (lower is None or (found.height_in[0] is not None and found.height_in[0] >= lower))
        and (upper is None or (found.height_in[1] is not None and found.height_in[1] <= upper))
    ]
    edges = {edge for found in inside if found.height_in is not None for edge in found.height_in}
    if not {lower, upper} <= edges:
        return None
    return Group(
        name,
        sum(found.people for found in inside),
        sum(round(found.people * (1.0 - found.accuracy)) for found in inside),
    )


def _in_doubt(evaluation: Evaluation) -> Group | None:
    """The bins from .4 to .6, if they meet at one half."""
    bins = {(found.lower, found.upper): found for found in evaluation.reliability}
    below, above = bins.get((0.4, 0.5)), bins.get((0.5, 0.6))
    if below is None or above is None:
        return None
    wrong = round(below.people * below.share_female) + round(above.people * (1.0 - above.share_female))
    return Group("answers from .4 to .6", below.people + above.people, wrong)


_INTRODUCTION = """# Model card

Of the network that `stature train` makes of the shipped data with its defaults; every report has that of its own. This
page is written by `python -m model.training.model_card`, and a test holds it against what a training gives.
"""


def document(draft: Draft) -> str:
    """docs/model-card.md."""
    return f"{_INTRODUCTION}\n{as_markdown(card(draft, draft.data.source))}".rstrip() + "\n"


def main() -> None:
    """Train as `stature train` does, in a registry that is thrown away, and print the document."""
    from model.registry.registry import Registry  # noqa: PLC0415 - which import this module
    from model.registry.storage import LocalStorage  # noqa: PLC0415
    from model.training import job  # noqa: PLC0415

    with TemporaryDirectory() as folder:
        outcome = job.run(job.Settings(), Registry(LocalStorage(Path(folder)), "gender"), by="the model card")
    if outcome.version is not None:
        print(document(outcome.version.manifest), end="")  # noqa: T201 - a document is what it is for


if __name__ == "__main__":
    main()
