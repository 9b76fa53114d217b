"""What the gate lets through: a table of cases, and that noise never gets through."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.errors import SettingsError
from model.training.gate import Champion, GateSettings, check, judge
from model.training.metrics import Metrics

GOOD = Metrics(log_loss=0.40, brier_score=0.13, accuracy=0.81, roc_auc=0.90, calibration_error=0.02)
BEATEN = Champion(number=3, log_loss=0.42, difference_interval=(-0.03, -0.01))
NEARLY = Champion(number=3, log_loss=0.41, difference_interval=(-0.02, 0.001))
BETTER = Champion(number=3, log_loss=0.39, difference_interval=(0.005, 0.015))
JUDGES = "1,222 held-out people"


@pytest.mark.parametrize(
    ("settings", "champion", "promote", "reason"),
    [
        ({}, None, True, "it is the first, and better than the base rate"),
        (
            {},
            BEATEN,
            True,
            (
                "log-loss 0.40000 on 1,222 held-out people is lower than the 0.42000 of version 3: "
                "difference -0.02000, 95 % interval -0.03000 to -0.01000"
            ),
        ),
        (
            {},
            NEARLY,
            False,
            (
                "log-loss 0.40000 on 1,222 held-out people is lower than the 0.41000 of version 3, but not beyond the "
                "noise: difference -0.01000, 95 % interval -0.02000 to +0.00100"
            ),
        ),
        ({}, BETTER, False, "log-loss 0.40000 on 1,222 held-out people is not lower than the 0.39000 of version 3"),
        (
            {"min_absolute_change": 0.03},
            BEATEN,
            False,
            (
                "log-loss 0.40000 on 1,222 held-out people is lower than the 0.42000 of version 3 by 0.02000, and "
                "--min-absolute-change asks for 0.03000"
            ),
        ),
        (
            {"min_relative_change": 0.1},
            BEATEN,
            False,
            (
                "log-loss 0.40000 on 1,222 held-out people is lower than the 0.42000 of version 3 by 0.02000, and "
                "--min-relative-change asks for 0.04200"
            ),
        ),
        ({"min_absolute_change": 0.01, "min_relative_change": 0.04}, BEATEN, True, "log-loss 0.40000 on "),
        ({"min_absolute_change": 0.5}, None, True, "it is the first"),
        (
            {"thresholds": {"log_loss": 0.39}},
            None,
            False,
            "log_loss 0.40000 on 1,222 held-out people is above the highest that is allowed, 0.39",
        ),
        (
            {"thresholds": {"roc_auc": 0.95}},
            BEATEN,
            False,
            "roc_auc 0.90000 on 1,222 held-out people is below the lowest that is allowed, 0.95",
        ),
        ({"thresholds": {"log_loss": 0.40, "roc_auc": 0.90, "accuracy": 0.81}}, BEATEN, True, "log-loss 0.40000 on "),
        ({"thresholds": {"roc_auc": 0.85, "calibration_error": 0.01}}, None, False, "calibration_error 0.02000 on "),
    ],
)
def test_the_gate_decides_and_says_by_which_figures(
    settings: dict, champion: Champion | None, *, promote: bool, reason: str
) -> None:
    judgement = judge(GateSettings(**settings), GOOD, 0.69, champion, JUDGES)
    assert judgement.promote is promote
    assert judgement.reason.startswith(reason)
    if reason[-1] != " ":
        assert judgement.reason in (reason, f"{reason}, and better than the base rate")


@pytest.mark.parametrize("champion", [None, BEATEN])
def test_nothing_worse_than_the_base_rate_gets_through(champion: Champion | None) -> None:
    judgement = judge(GateSettings(), GOOD, 0.40, champion, JUDGES)
    assert not judgement.promote
    assert judgement.reason == (
        "log-loss 0.40000 on 1,222 held-out people is not lower than the 0.40000 of the base rate"
    )


@given(log_loss=st.floats(0.01, 0.6), spread=st.floats(0.0, 0.1), champion_log_loss=st.floats(0.01, 0.6))
def test_whatever_is_promoted_over_a_champion_is_better_beyond_the_noise(
    log_loss: float, spread: float, champion_log_loss: float
) -> None:
    difference = log_loss - champion_log_loss
    champion = Champion(3, champion_log_loss, (difference - spread, difference + spread))
    judgement = judge(GateSettings(), replace(GOOD, log_loss=log_loss), 0.69, champion, JUDGES)
    assert judgement.promote == (difference < 0.0 and difference + spread < 0.0)
    assert (judgement.candidate_log_loss, judgement.champion_log_loss) == (log_loss, champion_log_loss)
    assert judgement.difference == difference


def test_what_is_not_a_number_gets_through_nowhere() -> None:
    nothing = replace(GOOD, log_loss=math.nan)
    assert not judge(GateSettings(), nothing, 0.69, None, JUDGES).promote
    assert not judge(GateSettings(), nothing, 0.69, BEATEN, JUDGES).promote
    unclear = replace(BEATEN, difference_interval=(math.nan, math.nan))
    assert not judge(GateSettings(), GOOD, 0.69, unclear, JUDGES).promote
    thresholds = GateSettings(thresholds={"roc_auc": 0.5})
    assert not judge(thresholds, replace(GOOD, roc_auc=math.nan), 0.69, None, JUDGES).promote


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"thresholds": {"f1": 0.5}}, "--threshold knows log_loss, "),
        ({"min_absolute_change": -0.1}, "--min-absolute-change must be at least 0"),
        ({"min_relative_change": math.nan}, "--min-relative-change must be at least 0"),
    ],
)
def test_the_gate_is_not_asked_for_what_cannot_be(settings: dict, said: str) -> None:
    with pytest.raises(SettingsError, match=f"^{said}"):
        check(GateSettings(**settings))
