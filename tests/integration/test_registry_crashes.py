"""Processes that write to one registry and are killed at any moment, and at every step, break none of its promises."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from integration import broken_protocols
from integration.registry_invariants import Said, snapshot, unpruned, violations
from integration.registry_storm import Outcome, Storm
from integration.registry_worker import another
from stores.faulty_proxy import faulty_proxy
from stores.fixtures import fresh, use
from stores.store import without_coverage

from model.registry import pruning
from model.registry.registry import Registry
from model.registry.storage import LocalStorage, open_storage

if TYPE_CHECKING:
    from collections.abc import Callable

    from stores.store import Store

SCRIPT = Path(__file__).with_name("registry_storm.py")
SLOW = pytest.mark.slow


def copy(trained: Registry, location: str) -> Registry:
    """The trained versions in another place, key by key."""
    assert isinstance(trained.storage, LocalStorage)
    registry = Registry(open_storage(location), "gender")
    for key in snapshot(trained):
        path = trained.storage.root / "gender" / key
        assert registry.storage.put_if_absent(f"gender/{key}", path.read_bytes())
    return registry


def blow(storm: Storm) -> Outcome:
    """The storm, in a process of its own."""
    Path(storm.folder).mkdir()
    done = subprocess.run(
        [sys.executable, str(SCRIPT), json.dumps(asdict(storm))],
        capture_output=True,
        text=True,
        check=False,
        timeout=storm.seconds + 120,
        env=without_coverage() | {"PYTHONPATH": str(SCRIPT.parents[1]), "OPENBLAS_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    return Outcome(**json.loads(done.stdout))


def weather(
    registry: Registry,
    location: str,
    folder: Path,
    kills: int,
    tally: Callable[..., None],
    *,
    record: Callable[[str, object], None],
    label: str,
    **options: Any,
) -> None:
    """Storms of at most a hundred kills each on one registry, all invariants checked after every one."""
    for number, start in enumerate(range(0, kills, 100)):
        before = snapshot(registry)
        storm = Storm(location, str(folder / f"storm-{number}"), min(100, kills - start), seed=number, **options)
        outcome = blow(storm)
        assert outcome.failures == []
        # The next pruning puts back what one that was killed had put aside.
        pruning.prune(registry, timedelta(hours=1))
        said = Said.read(Path(storm.folder))
        assert list(violations(registry, before, said)) == []
        assert list(unpruned(registry)) == []
        assert list(violations(registry, {}, said)) == []
        assert len(said.readers) == 2
        assert sum(outcome.kills.values()) >= storm.kills
        tally(label, kills=outcome.kills, acknowledged=len(said.acknowledged), pruned=len(said.pruned))
        record("kills", sum(outcome.kills.values()))
        record("acknowledged operations, none lost", len(said.acknowledged))
        # Nothing that a crash leaves behind is in the way of whoever comes after it.
        manifest = registry.publish(*another(registry.manifest(1), number), by="a test").manifest
        assert registry.promote(manifest.number, by="a test").champion == manifest.number
        assert manifest.number == len(registry.numbers())
        registry.rollback(by="a test")


@pytest.mark.parametrize("kills", [pytest.param(120, id="120 kills"), pytest.param(600, id="600 kills", marks=SLOW)])
def test_writers_killed_again_and_again_break_no_promise_on_a_local_disk(
    trained: Registry,
    tmp_path: Path,
    kills: int,
    tally: Callable[..., None],
    record_property: Callable[[str, object], None],
) -> None:
    location = str(trained.storage)
    weather(trained, location, tmp_path, kills, tally, record=record_property, label="local")
    steps = {step for step, count in tally.kills["local"].items() if count > 0}
    assert steps >= {*Storm(location, "", 0, 0).steps, "at a random moment"}
    assert tally.pruned["local"] > 0


@pytest.mark.parametrize(
    ("kills", "faults"),
    [
        pytest.param(25, 0.0, id="25 kills"),
        pytest.param(200, 0.0, id="200 kills", marks=SLOW),
        pytest.param(100, 0.05, id="100 kills and faults", marks=SLOW),
    ],
)
def test_writers_killed_again_and_again_break_no_promise_on_object_storage(
    *,
    trained: Registry,
    object_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kills: int,
    faults: float,
    tally: Callable[..., None],
    record_property: Callable[[str, object], None],
) -> None:
    location = fresh(object_store)
    with faulty_proxy(object_store.port) as proxy:
        registry = copy(trained, location)
        label = f"{object_store.name}{' through faults' if faults else ''}"
        if faults:
            use(object_store.through(proxy.port), monkeypatch)
            proxy.at_random(kills, faults)
        life_seconds = 0.3 if faults else 0.15
        weather(
            registry, location, tmp_path, kills, tally, record=record_property, label=label, life_seconds=life_seconds
        )
        if faults:
            assert len(proxy.faults) == 5
            tally(label, faults={fault.name: count for fault, count in proxy.faults.items()})


@pytest.mark.parametrize("broken", broken_protocols.ALL)
def test_the_check_itself_sees_a_protocol_that_is_broken(trained: Registry, tmp_path: Path, broken: str) -> None:
    before = snapshot(trained)
    found: list[str] = []
    for number in range(20):
        storm = Storm(str(trained.storage), str(tmp_path / f"storm-{number}"), 20, seed=number, protocol=broken)
        blow(storm)
        found = list(violations(trained, before, Said.read(Path(storm.folder))))
        if found:
            break
    expected = {
        "writing in place": "not valid|not what it was|is not|cannot be",
        "check, then rename": "is not there|not what it was",
        "manifest before artifact": "lacks its weights",
        "no transaction id": "has the transaction id of",
    }
    print(found[:5])
    assert any(re.search(expected[broken], violation) for violation in found), found


def test_the_check_itself_sees_acknowledgements_that_nothing_stands_behind(trained: Registry) -> None:
    head, manifest = trained.head(), trained.manifest(2)
    published = {"kind": "published", "number": 2, "transaction": manifest.transaction, "by": manifest.created_by}
    moved = {"kind": "moved", "number": 1, "sha256": head.sha256, "by": head.record.by}
    assert list(violations(trained, snapshot(trained), Said([published, moved]))) == []
    wrong = [published | {"transaction": "0" * 32}, published | {"number": 3}]
    wrong += [moved | {"sha256": "0" * 64}, moved | {"by": "b"}]
    assert len(list(violations(trained, snapshot(trained), Said(wrong)))) >= 4
    assert len(list(violations(trained, {"versions/0000000001.json": "0" * 64}, Said()))) == 1
    seen = {"seen": {"log/0000000009.json": "0" * 64}, "looks": 9}
    assert list(violations(trained, {}, Said(readers=[seen]))) == ["log/0000000009.json is gone when a reader looked"]


def test_the_check_itself_sees_what_was_pruned_and_should_not_have_been(trained: Registry) -> None:
    assert list(unpruned(trained)) == []
    key = trained.manifest(2).files.weights.key
    trained.storage.delete(f"gender/{key}")
    assert list(unpruned(trained)) == [f"{key} is needed and was pruned"]
