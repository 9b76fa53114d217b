"""`diff` and `reproduce`: two versions side by side, and one beside its own repetition."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from model.cli import FAILED
from model.cli.options import common, examples, open_registry, resolve, show_result, table, version_argument
from model.cli.progress import progress

if TYPE_CHECKING:
    from model.registry.difference import Differences, Gap


@click.command(epilog=examples("stature diff champion 2"))
@version_argument("first_name")
@version_argument("second_name")
@common
def diff(registry_path: str, model: str, *, as_json: bool, first_name: str, second_name: str) -> None:
    """Show what differs between two versions.

    It says too how far apart they predict, and for whom most.
    """
    from model.registry.difference import differing_manifests, gap  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    head = registry.head()
    first, second = (registry.load(resolve(registry, name, head)) for name in (first_name, second_name))
    numbers = first.manifest.number, second.manifest.number
    differences = differing_manifests(first.manifest, second.manifest)
    with progress(f"comparing versions {numbers[0]} and {numbers[1]}", quiet=as_json):
        apart = gap(first.predictor, second.predictor, first.manifest)
    same = first.predictor.digest == second.predictor.digest
    said = [
        *_differences_in_words(differences, *(f"version {number}" for number in numbers)),
        "",
        "The same network, bit for bit." if same else _gap_in_words(apart, numbers[0]),
    ]
    document = {
        "model": registry.model,
        "versions": list(numbers),
        "digests": [first.manifest.digest, second.manifest.digest],
        "differences": differences,
        "predictions": _gap_as_json(apart),
    }
    show_result(document, "\n".join(said), as_json=as_json)


@click.command(epilog=examples("stature reproduce champion --data people.csv"))
@version_argument()
@click.option(
    "--data",
    type=click.Path(),
    metavar="FILE",
    help="The file that it was trained on, where that was not a shipped one.",
)
@click.option("--female-code", metavar="NUMBER", help="The number that means female, as it was given to train.")
@common
def reproduce(
    registry_path: str, model: str, *, as_json: bool, name: str, data: str | None, female_code: str | None
) -> None:
    """Train a version again, and compare.

    Settings and seed are in its manifest. Exit code 1 unless it is the same to the bit.
    """
    from model.training.reproduce import reproduce as train_again  # noqa: PLC0415

    registry = open_registry(registry_path, model)
    number = resolve(registry, name, registry.head())
    with progress(f"training version {number} again", quiet=as_json):
        again = train_again(registry, number, data=data, female_code=female_code)
    result = "the same network, bit for bit" if again.is_same else "not the same network"
    said = [f"Version {number} of {registry}, trained again, is {result}.", f"digest  {again.manifest.digest}"]
    if not again.is_same:
        said += [f"now     {again.digest}", "", again.reason]
    if again.differences:
        said += ["", *_differences_in_words(again.differences, "recorded", "now")]
    if again.gap is not None:
        said += ["", _gap_in_words(again.gap, number)]
    document = {
        "model": registry.model,
        "model_version": number,
        "reproduced": again.is_same,
        "digests": [again.manifest.digest, again.digest],
        "differences": again.differences,
        "predictions": None if again.gap is None else _gap_as_json(again.gap),
    }
    show_result(document, "\n".join(said), as_json=as_json)
    if not again.is_same:
        sys.exit(FAILED)


def _differences_in_words(differences: Differences, first: str, second: str) -> list[str]:
    if not differences:
        return ["Settings, data, software and metrics are the same."]
    return [table(("", first, second), [(name, *_shown(*pair)) for name, pair in differences.items()])]


def _shown(first: Any, second: Any) -> tuple[str, str]:  # noqa: ANN401 - whatever JSON can say
    """Short where that tells the two apart."""
    short = _short(first), _short(second)
    return short if short[0] != short[1] else (str(first), str(second))


def _short(value: Any) -> str:  # noqa: ANN401 - whatever JSON can say
    if value is None:
        return "-"
    if isinstance(value, list):
        return (
            "-".join(map(_short, value))
            if all(isinstance(item, int) for item in value)
            else ", ".join(map(_short, value))
        )
    if isinstance(value, float):
        return f"{value:.5g}"
    text = str(value)
    return text if len(text) < _DIGEST_CHARACTERS else f"{text[:12]}…"


_DIGEST_CHARACTERS = 64


def _gap_in_words(apart: Gap, number: int) -> str:
    first, second = apart.probabilities_female
    return "\n".join(
        [
            f"Probabilities of female, over people like those that version {number} was trained on:",
            f"  mean difference     {apart.mean:.3g}",
            (
                f"  largest difference  {apart.largest:.3g}, "
                f"at {apart.weight_lb:.1f} lb and {apart.height_in:.1f} in: {first:.4f} and {second:.4f}"
            ),
            f"  likelier gender     another one for {apart.share_changed:.2%} of the people",
        ]
    )


def _gap_as_json(apart: Gap) -> dict[str, Any]:
    return {
        "mean_difference": apart.mean,
        "largest_difference": apart.largest,
        "largest_at": {"weight_lb": apart.weight_lb, "height_in": apart.height_in},
        "probabilities_female_there": list(apart.probabilities_female),
        "share_of_people_whose_likelier_gender_changes": apart.share_changed,
    }
