"""The exported expression, unchanged, on DuckDB, SQLite and a real PostgreSQL: the served probability or NULL."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import psycopg
import pytest
from exported import heights_cm, heights_in, predictors, tolerance, version_of, weights_kg, weights_lb
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from integration.postgresql_server import NoServerError, postgresql

from model import export, units
from model.network.network import Network
from model.predictor import Predictor
from model.registry.registry import Registry
from model.registry.storage import LocalStorage
from model.training import job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from model.registry.version import Version

METRIC, IMPERIAL = export.PAIRS["metric"], export.PAIRS["imperial"]
BOTH = pytest.mark.parametrize("pair", [METRIC, IMPERIAL], ids=["metric", "imperial"])


class Engine:
    """One database, asked for an expression over people in a table."""

    def __init__(self, name: str, connection: Any, placeholder: str = "?") -> None:
        self.name, self.connection, self.placeholder = name, connection, placeholder

    def answers(
        self, expression: str, people: list[tuple[Any, Any]], pair: export.Pair, kind: str = "DOUBLE PRECISION"
    ) -> list[float | None]:
        """What it says of each of these people, whose measurements are in columns of this type."""
        run, (weight, height) = self.connection.execute, pair
        run("BEGIN")
        try:
            run(f"CREATE TABLE people (number INTEGER, {weight.name} {kind}, {height.name} {kind})")
            for number, (weight_value, height_value) in enumerate(people):
                values = (number, weight_value, height_value)
                run(f"INSERT INTO people VALUES ({', '.join([self.placeholder] * 3)})", values)
            rows = run(f"SELECT number, {expression} AS probability_female FROM people ORDER BY number").fetchall()
        finally:
            run("ROLLBACK")
        return [probability for _, probability in rows]


@pytest.fixture(scope="module")
def postgresql_address() -> Iterator[str]:
    try:
        with postgresql() as address:
            yield address
    except NoServerError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module", params=["duckdb", "sqlite", "postgresql"])
def engine(request: pytest.FixtureRequest) -> Iterator[Engine]:
    if request.param == "postgresql":
        address = request.getfixturevalue("postgresql_address")
        with psycopg.connect(address, autocommit=True) as connection:
            yield Engine("postgresql", connection, "%s")
    elif request.param == "sqlite":
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
            yield Engine("sqlite", connection)
    else:
        with duckdb.connect() as connection:
            yield Engine("duckdb", connection)


@pytest.fixture(scope="module")
def version(_trained_once: Path) -> Version:
    return Registry(LocalStorage(_trained_once), "gender").load(1)


@pytest.fixture(scope="module", params=["tutorial", "none", "2", "8", "8,4", "4,3,2"])
def trained_version(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Version:
    """Really trained, of every depth."""
    is_tutorial = request.param == "tutorial"
    hidden = () if request.param == "none" else (2,) if is_tutorial else tuple(map(int, request.param.split(",")))
    registry = Registry(LocalStorage(tmp_path_factory.mktemp("registry")), "tutorial" if is_tutorial else "gender")
    asked = job.Settings(data="tutorial" if is_tutorial else "nhanes", hidden=hidden, restarts=1)
    return job.run(asked, registry, by="a test").version


def served(predictor: Predictor, pair: export.Pair, weight: float, height: float) -> float:
    return predictor.probability_female(*units.to_canonical(weight, pair[0], height, pair[1]))


@BOTH
def test_every_trained_network_is_computed_as_it_is_served_to_1e_12(
    engine: Engine, trained_version: Version, pair: export.Pair
) -> None:
    weights, heights = (np.linspace(field.minimum, field.maximum, 25).tolist() for field in pair)
    people = [(weight, height) for weight in weights for height in heights]

    answers = engine.answers(export.as_sql(trained_version, pair), people, pair)

    for person, answer in zip(people, answers, strict=True):
        assert answer == pytest.approx(served(trained_version.predictor, pair, *person), rel=0, abs=1e-12)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    predictor=predictors(),
    metric=st.lists(st.tuples(weights_kg, heights_cm), min_size=1, max_size=10),
    imperial=st.lists(st.tuples(weights_lb, heights_in), min_size=1, max_size=10),
)
@example(  # every total is the smallest number there is, or none
    predictor=Predictor(Network((2, 1, 1), np.full(5, 5e-324)), (135.0, 66.0), (1e50, 1e50)),
    metric=[(70.0, 170.0)],
    imperial=[(135.0, 66.0)],
)
def test_any_network_is_computed_as_it_is_served(
    engine: Engine,
    version: Version,
    predictor: Predictor,
    metric: list[tuple[float, float]],
    imperial: list[tuple[float, float]],
) -> None:
    for pair, people in ((METRIC, metric), (IMPERIAL, imperial)):
        answers = engine.answers(export.as_sql(version_of(predictor, version), pair), people, pair)
        for (weight, height), answer in zip(people, answers, strict=True):
            assert answer is not None
            assert 0.0 <= answer <= 1.0
            canonical = units.to_canonical(weight, pair[0], height, pair[1])
            near_enough = tolerance(predictor, *canonical)
            assert abs(answer - predictor.probability_female(*canonical)) <= near_enough


@pytest.mark.parametrize("sizes", [(2, 1), (2, 2, 1), (2, 8, 1), (2, 4, 4, 1)])
def test_a_network_with_weights_of_a_thousand_is_sure_and_raises_nothing(
    engine: Engine, version: Version, sizes: tuple[int, ...]
) -> None:
    signs = np.random.default_rng(1).choice([-1000.0, 1000.0], Network.count_parameters(sizes))
    predictor = Predictor(Network(sizes, signs), (135.0, 66.0), (1.0, 1.0))
    people = [(float(weight), float(height)) for weight in range(45, 881, 40) for height in range(40, 98, 3)]

    answers = engine.answers(export.as_sql(version_of(predictor, version), IMPERIAL), people, IMPERIAL)

    expected = [predictor.probability_female(*person) for person in people]
    assert answers == pytest.approx(expected, rel=0, abs=1e-12)
    assert {round(probability, 9) for probability in expected} <= {0.0, 0.5, 1.0}


def test_null_stays_null(engine: Engine, version: Version) -> None:
    people = [(None, 170.0), (70.0, None), (None, None), (70.0, 170.0)]
    answers = engine.answers(export.as_sql(version, METRIC), people, METRIC)
    assert answers[:3] == [None, None, None]
    assert answers[3] == pytest.approx(served(version.predictor, METRIC, 70.0, 170.0), rel=0, abs=1e-12)


@BOTH
def test_the_limits_of_the_domain_are_inside_and_what_lies_beyond_is_null(
    engine: Engine, version: Version, pair: export.Pair
) -> None:
    weight, height = pair
    inside = [(w, h) for w in (weight.minimum, weight.maximum) for h in (height.minimum, height.maximum)]
    middle = (weight.minimum + weight.maximum) / 2, (height.minimum + height.maximum) / 2
    outside = [
        (math.nextafter(weight.minimum, 0.0), middle[1]),
        (math.nextafter(weight.maximum, math.inf), middle[1]),
        (middle[0], math.nextafter(height.minimum, 0.0)),
        (middle[0], math.nextafter(height.maximum, math.inf)),
    ]

    answers = engine.answers(export.as_sql(version, pair), [*inside, *outside], pair)

    expected = [served(version.predictor, pair, *person) for person in inside]
    assert answers[:4] == pytest.approx(expected, rel=0, abs=1e-12)
    assert answers[4:] == [None] * 4


def test_huge_tiny_and_infinite_values_are_null_and_no_error(engine: Engine, version: Version) -> None:
    odd = [
        0.0,
        -0.0,
        -70.0,
        5e-324,
        1e-308,
        1e-300,
        -1e-300,
        1e300,
        1.7976931348623157e308,
        math.inf,
        -math.inf,
        math.nan,
    ]
    people = [(value, 170.0) for value in odd] + [(70.0, value) for value in odd] + [(value, value) for value in odd]
    assert engine.answers(export.as_sql(version, METRIC), people, METRIC) == [None] * len(people)


@pytest.mark.parametrize("kind", ["INTEGER", "SMALLINT", "BIGINT"])
@BOTH
def test_whole_numbers_in_whole_number_columns_are_not_divided_as_such(
    engine: Engine, version: Version, pair: export.Pair, kind: str
) -> None:
    people = [(73, 182), (57, 160), (80, 66), (128, 63), (399, 101), (0, 0), (-32768, 32767)]
    answers = engine.answers(export.as_sql(version, pair), people, pair, kind)
    for (weight, height), answer in zip(people, answers, strict=True):
        if pair[0].contains(weight) and pair[1].contains(height):
            assert answer == pytest.approx(served(version.predictor, pair, weight, height), rel=0, abs=1e-12)
        else:
            assert answer is None


def test_the_largest_whole_numbers_are_null(engine: Engine, version: Version) -> None:
    people = [(2**63 - 1, 170), (70, -(2**63)), (2**63 - 1, -(2**63))]
    assert engine.answers(export.as_sql(version, METRIC), people, METRIC, "BIGINT") == [None] * 3


def test_decimals_are_computed_in_double_precision(engine: Engine, version: Version) -> None:
    people = [("73.55", "182.05"), ("57.10", "160.90"), ("999.99", "160.00")]
    answers = engine.answers(export.as_sql(version, METRIC), people, METRIC, "DECIMAL(5, 2)")
    expected = [served(version.predictor, METRIC, float(weight), float(height)) for weight, height in people[:2]]
    assert answers == [*(pytest.approx(one, rel=0, abs=1e-12) for one in expected), None]


def test_single_precision_is_widened_before_it_is_computed_with(engine: Engine, version: Version) -> None:
    people = [(73.55, 182.05), (57.1, 160.9)]
    answers = engine.answers(export.as_sql(version, METRIC), people, METRIC, "REAL")
    widen: Callable[[float], float] = float if engine.name == "sqlite" else lambda value: float(np.float32(value))
    expected = [served(version.predictor, METRIC, widen(weight), widen(height)) for weight, height in people]
    assert answers == pytest.approx(expected, rel=0, abs=1e-12)


def test_the_expression_stands_wherever_an_expression_may(engine: Engine, version: Version) -> None:
    expression = export.as_sql(version, METRIC)
    people = "(SELECT 73 AS weight_kg, 182 AS height_cm UNION ALL SELECT 57, 160 UNION ALL SELECT 900, 160) AS people"
    rows = engine.connection.execute(
        f"SELECT count(*), avg({expression}) * 2 FROM {people} WHERE {expression} >= 0 GROUP BY {expression} IS NULL"
    ).fetchall()
    expected = served(version.predictor, METRIC, 73, 182) + served(version.predictor, METRIC, 57, 160)
    assert rows == [(2, pytest.approx(expected, rel=0, abs=1e-12))]


@pytest.mark.parametrize("hidden", [(256,), (31, 31), (256, 3)])
def test_the_largest_networks_that_are_exported_are_within_the_limits_of_every_engine(
    engine: Engine, version: Version, hidden: tuple[int, ...]
) -> None:
    sizes = (2, *hidden, 1)
    parameters = np.random.default_rng(1).standard_normal(Network.count_parameters(sizes))
    shift, scale = version.predictor.shift, version.predictor.scale
    predictor = Predictor(Network(sizes, parameters), shift, scale)
    people = [(73.0, 182.0), (57.0, 160.0)]

    answers = engine.answers(export.as_sql(version_of(predictor, version), METRIC), people, METRIC)

    expected = [served(predictor, METRIC, *person) for person in people]
    assert answers == pytest.approx(expected, rel=0, abs=1e-12)


def test_numbers_that_are_kept_as_text_are_numbers(engine: Engine, version: Version) -> None:
    people = [("73", "182"), ("9.5", "182"), ("300", "99"), ("57.25", "160.5")]
    answers = engine.answers(export.as_sql(version, METRIC), people, METRIC, "TEXT")
    expected = [served(version.predictor, METRIC, float(weight), float(height)) for weight, height in people[::3]]
    assert answers[::3] == pytest.approx(expected, rel=0, abs=1e-12)
    assert answers[1:3] == [None, None]


def test_in_postgresql_it_may_be_a_column_of_its_own(postgresql_address: str, version: Version) -> None:
    with psycopg.connect(postgresql_address) as connection:  # nothing of it is committed
        connection.execute("CREATE TABLE people (weight_kg integer, height_cm numeric)")
        connection.execute(
            f"ALTER TABLE people ADD COLUMN female float8 GENERATED ALWAYS AS ({export.as_sql(version, METRIC)}) STORED"
        )
        rows = connection.execute("INSERT INTO people VALUES (73, 182.5), (73, NULL) RETURNING female").fetchall()
        connection.rollback()
    assert rows == [(pytest.approx(served(version.predictor, METRIC, 73, 182.5), rel=0, abs=1e-12),), (None,)]
