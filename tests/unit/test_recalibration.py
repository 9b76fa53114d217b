"""Two numbers are fitted as scikit-learn fits them, and folded into the network so that nothing else changes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from model.errors import DataError
from model.network.network import Network, sigmoid
from model.predictor import Predictor
from model.training.recalibration import fit, folded


def people(seed: int, number: int, slope: float = 0.8, intercept: float = -0.5) -> tuple[np.ndarray, ...]:
    """Totals, the genders that they lead to, and counts."""
    generator = np.random.default_rng(seed)
    totals = generator.normal(0.5, 2.0, number)
    female = (generator.random(number) < sigmoid(slope * totals + intercept)).astype(float)
    return totals, female, generator.integers(1, 5, number).astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_slope_and_intercept_are_those_of_scikit_learn(seed: int) -> None:
    totals, female, counts = people(seed, 300)
    oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(totals[:, None], female, sample_weight=counts)
    slope, intercept, steps = fit(totals, female, counts, "people")
    assert slope == pytest.approx(oracle.coef_[0, 0], rel=1e-5)
    assert intercept == pytest.approx(oracle.intercept_[0], rel=1e-5)
    assert steps < 20


def test_what_moved_a_population_is_found_again() -> None:
    totals, female, _ = people(1, 200_000, slope=1.3, intercept=-2.0)
    slope, intercept, _ = fit(totals, female, np.ones(len(totals)), "people")
    assert (slope, intercept) == pytest.approx((1.3, -2.0), abs=0.03)


def test_a_row_that_stands_for_several_is_as_many() -> None:
    totals, female, counts = people(2, 300)
    times = counts.astype(int)
    repeated = fit(np.repeat(totals, times), np.repeat(female, times), np.ones(times.sum()), "people")
    assert fit(totals, female, counts, "people") == pytest.approx(repeated, rel=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 50.0, 1e4, 1e6])
@pytest.mark.parametrize("shift", [0.0, 100.0, -1e4])
def test_it_is_found_from_far_away(scale: float, shift: float) -> None:
    """Also where the version is sure of everyone, and wrong of many: its sigmoid is flat there."""
    totals, female, counts = people(3, 2000)
    near, far = fit(totals, female, counts, "people"), fit(totals * scale + shift, female, counts, "people")
    assert far[0] * scale == pytest.approx(near[0], rel=1e-6)
    assert far[0] * shift + far[1] == pytest.approx(near[1], rel=1e-6)


@given(
    st.lists(
        st.tuples(st.integers(-40, 40).map(float), st.sampled_from([0.0, 1.0]), st.integers(1, 3).map(float)),
        min_size=3,
        max_size=12,
    )
)
def test_it_is_found_for_all_but_those_who_are_told_apart_without_an_exception(
    rows: list[tuple[float, float, float]],
) -> None:
    totals, female, counts = np.array(rows).T
    women, men = totals[female == 1.0], totals[female == 0.0]
    assume(len(women) and len(men) and np.ptp(totals))
    apart = women.min() >= men.max() or men.min() >= women.max()
    assert ("without an exception" in refusal(totals, female, counts)) == apart


def refusal(totals: np.ndarray, female: np.ndarray, counts: np.ndarray) -> str:
    """Why these people cannot be fitted; nothing where they can."""
    try:
        fit(totals, female, counts, "people")
    except DataError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("totals", "female", "said"),
    [
        ([-2.0, -1.0, 1.0, 2.0], [0.0, 0.0, 1.0, 1.0], "without an exception"),
        ([1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 1.0], "says the same of all"),
        ([-2.0, -1.0, 0.5, 1.0, 2.0], [1.0, 1.0, 1.0, 0.0, 0.0], "without an exception"),
        ([-2.0, -1.0, 1.0, 2.0], [1.0, 0.0, 1.0, 0.0], "no better than chance"),
    ],
    ids=["told apart", "all alike", "told apart the wrong way round", "ranked the wrong way round"],
)
def test_what_cannot_be_fitted_is_said(totals: list[float], female: list[float], said: str) -> None:
    with pytest.raises(DataError, match=f"^people.csv: .*{said}"):
        fit(np.array(totals), np.array(female), np.ones(len(totals)), "people.csv")


@given(
    hidden=st.sampled_from([(), (2,), (8,), (4, 3)]),
    seed=st.integers(0, 1000),
    slope=st.floats(0.01, 10.0),
    intercept=st.floats(-5.0, 5.0),
)
def test_folded_into_any_network_the_log_odds_are_moved_and_the_shape_is_kept(
    hidden: tuple[int, ...], seed: int, slope: float, intercept: float
) -> None:
    generator = np.random.default_rng(seed)
    parent = Predictor(Network.random((2, *hidden, 1), generator), (170.0, 66.0), (40.0, 4.0))
    measurements = generator.normal((170.0, 66.0), (40.0, 4.0), (20, 2))
    before = parent.totals(measurements).copy()

    moved = folded(parent, slope, intercept)

    assert moved.network.sizes == parent.network.sizes
    assert moved.totals(measurements) == pytest.approx(slope * before + intercept, rel=1e-9, abs=1e-9)
    assert (parent.totals(measurements) == before).all()
