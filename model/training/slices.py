"""The slices of an evaluation, as tables name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from model import units

if TYPE_CHECKING:
    from model.registry.manifest import Slice


def slice_in_words(found: Slice) -> str:
    words = [{"male": "men", "female": "women", None: ""}[found.gender]]
    for band, unit, other_unit, times in (
        (found.weight_lb, "lb", "kg", units.KILOGRAMS_PER_POUND),
        (found.height_in, "in", "cm", units.CENTIMETRES_PER_INCH),
    ):
        if band is None:
            continue
        lower, upper = band
        if lower is None and upper is None:
            words.append(f"any {unit}")
        elif lower is None or upper is None:
            limit = (lower or 0.0) + (upper or 0.0)
            words.append(f"{'below' if lower is None else 'from'} {limit:g} {unit} ({limit * times:.0f} {other_unit})")
        else:
            words.append(f"{lower:g} to {upper:g} {unit} ({lower * times:.0f} to {upper * times:.0f} {other_unit})")
    return " ".join(filter(None, words))
