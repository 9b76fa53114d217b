"""What keeps a single person from being read off a manifest: no bin and no slice shows fewer than five people."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FEWEST_TOGETHER = 5


def merged(people: Sequence[float]) -> list[tuple[int, int]]:
    """Neighbouring bins put together until each holds five people: from which bin, and up to which (exclusive).

    What is left at the end joins the last. Nothing where all bins together hold fewer.
    """
    groups: list[tuple[int, int]] = []
    start, together = 0, 0.0
    for position, count in enumerate(people):
        together += count
        if together >= FEWEST_TOGETHER:
            groups.append((start, position + 1))
            start, together = position + 1, 0.0
    if groups:
        groups[-1] = (groups[-1][0], len(people))
    return groups
