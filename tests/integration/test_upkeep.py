"""Deleting, pruning, doctoring, and looking back: what the owner of a registry does to it now and then."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from integration.registry_worker import another

from model.cli.group import main
from model.errors import CorruptionError, NotFoundError, RefusedError, StorageError
from model.registry import pruning
from model.registry.audit import problems
from model.registry.doctor import findings
from model.registry.registry import Registry
from model.registry.storage import LocalStorage, created_at, unique_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from model.registry.storage import Storage

DAY = timedelta(days=1)
TOMORROW = datetime.now(UTC) + 2 * DAY


def stature(registry: Registry, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*arguments, "--registry", str(registry.storage)])
    return done.exit_code, done.output


def artifact(registry: Registry, number: int) -> Path:
    return registry.storage.root / "gender" / registry.manifest(number).files.weights.key


def manifest_of(registry: Registry, number: int) -> Path:
    return registry.storage.root / "gender" / "versions" / f"{number:010}.json"


def unpublished(registry: Registry, number: int) -> tuple[Path, Callable[[], object]]:
    """The artifact of a version whose manifest is not there, and what puts it there."""
    path, weights = manifest_of(registry, number), artifact(registry, number)
    manifest = path.read_bytes()
    path.unlink()
    return weights, lambda: path.write_bytes(manifest)


def prunes_nothing(trained: Registry, storage: Storage) -> None:
    """A pruning with this storage removes nothing for good, and leaves version 2 and all else whole."""
    assert pruning.prune(Registry(storage, "gender"), DAY, TOMORROW) == []
    assert artifact(trained, 2).exists()
    assert trained.load(2)
    assert list(problems(trained)) == []


# Names


def test_a_name_tells_when_it_was_made_and_no_two_are_the_same() -> None:
    names = [unique_name() for _ in range(10_000)]
    assert len(set(names)) == len(names)
    assert all(len(name) == 32 and int(name, 16) >= 0 for name in names)
    assert all(abs(created_at(name) - datetime.now(UTC)) < DAY for name in names)
    assert created_at(f"{names[0]}.npz") == created_at(names[0])


@pytest.mark.parametrize(
    "name",
    ["", "x", "0" * 32, "f" * 31, "0123456789ab7" + "0" * 20, "0123456789ab4" + "0" * 19, "f" * 12 + "7" + "0" * 19],
)
def test_another_name_tells_no_time(name: str) -> None:
    assert created_at(name) is None


# Deleting


def test_a_deleted_version_is_marked_and_its_number_is_never_used_again(trained: Registry) -> None:
    head = trained.delete(2, by="me", reason="no use")
    assert head.state.deleted == (2,)
    assert trained.numbers() == [1, 2]
    with pytest.raises(NotFoundError, match="version 2 of model gender was deleted"):
        trained.resolve("2", trained.head())
    assert list(problems(trained)) == []


def test_an_aliased_version_cannot_be_deleted(trained: Registry) -> None:
    trained.promote(2, by="me")
    for number, alias in ((2, "champion"), (1, "previous")):
        with pytest.raises(RefusedError, match=f"version {number} of model gender is {alias}: move that first"):
            trained.delete(number, by="me")
    assert trained.head().state.deleted == ()


def test_a_deleted_version_cannot_be_promoted_nor_deleted_again(trained: Registry) -> None:
    trained.delete(2, by="me")
    with pytest.raises(NotFoundError, match="deleted"):
        trained.promote(2, by="me")
    with pytest.raises(NotFoundError, match="deleted already"):
        trained.delete(2, by="me")


# Pruning


def test_pruning_removes_the_weights_and_the_report_of_a_deleted_version_and_no_other(trained: Registry) -> None:
    path = artifact(trained, 2)
    trained.delete(2, by="me")
    assert pruning.prune(trained, DAY) == []
    assert [removal.reason for removal in pruning.prune(trained, DAY, TOMORROW)] == ["version 2 was deleted"] * 2
    assert not path.exists()
    assert trained.load(1)
    assert list(problems(trained)) == []


def test_pruning_removes_what_crashes_left_once_it_is_old_enough(trained: Registry) -> None:
    orphan = f"gender/artifacts/{unique_name()}.npz"
    left = f"{LocalStorage.TEMPORARY}/{unique_name()}"
    foreign = "gender/artifacts/README"
    for key in (orphan, left, foreign):
        trained.storage.put_if_absent(key, b"x")
    assert pruning.prune(trained, DAY) == []
    assert {removal.key for removal in pruning.prune(trained, DAY, TOMORROW)} == {orphan, left}
    assert trained.storage.get(foreign, 1) == b"x"
    assert trained.load(1)
    assert trained.load(2)


def test_what_a_manifest_refers_to_after_all_is_put_back(trained: Registry) -> None:
    """A publisher that was paused for longer than the grace period commits while its artifact is being removed."""
    _, publish = unpublished(trained, 2)

    class CommittedMeanwhile(LocalStorage):
        def delete(self, key: str) -> None:
            super().delete(key)
            publish()

    prunes_nothing(trained, CommittedMeanwhile(trained.storage.root))


def test_what_a_pruning_that_was_killed_had_put_aside_is_put_back_by_the_next_one(trained: Registry) -> None:
    weights, publish = unpublished(trained, 2)

    class Killed(LocalStorage):
        def delete(self, key: str) -> None:
            super().delete(key)
            publish()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pruning.prune(Registry(Killed(trained.storage.root), "gender"), DAY, TOMORROW)
    assert not weights.exists()
    assert trained.load(2).manifest.number == 2, "from the copy, as long as no other pruning puts it back"
    assert pruning.prune(trained, DAY) == []
    assert weights.exists()
    assert trained.storage.list_after("gender/aside") != []
    assert pruning.prune(trained, DAY, TOMORROW) == []
    assert trained.storage.list_after("gender/aside") == []
    assert list(problems(trained)) == []


def test_what_another_pruning_puts_back_is_not_removed_without_a_copy(trained: Registry) -> None:
    """It is away when this pruning would copy it, and back when this pruning would remove it."""
    weights, publish = unpublished(trained, 2)
    content = weights.read_bytes()

    class BesideAnother(LocalStorage):
        def get(self, key: str, maximum_bytes: int) -> bytes | None:
            if key.endswith(weights.name):
                weights.unlink()
            found = super().get(key, maximum_bytes)
            if key.endswith(weights.name):
                weights.write_bytes(content)
                publish()
            return found

    prunes_nothing(trained, BesideAnother(trained.storage.root))


def test_a_pruning_puts_back_what_is_needed_though_another_has_removed_its_copies(trained: Registry) -> None:
    """It was paused for longer than the grace period, and its copies were taken for those of one that was killed."""
    _, publish = unpublished(trained, 2)

    class Paused(LocalStorage):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            done = super().put_if_absent(key, content)
            if "/aside/" in key:
                super().delete(key)
            return done

        def delete(self, key: str) -> None:
            super().delete(key)
            publish()

    prunes_nothing(trained, Paused(trained.storage.root))


def test_a_file_that_one_pruning_puts_back_and_another_removes_is_read_from_the_copy_of_the_other(
    trained: Registry,
) -> None:
    weights = artifact(trained, 2)
    copies = [f"gender/aside/{unique_name()}-{weights.name}" for _ in range(2)]
    trained.storage.put_if_absent(copies[0], weights.read_bytes())
    content = weights.read_bytes()
    weights.unlink()

    class BesideTwo(LocalStorage):
        def get(self, key: str, maximum_bytes: int) -> bytes | None:
            if key == copies[0]:
                self.delete(copies[0])
                self.put_if_absent(copies[1], content)
            return super().get(key, maximum_bytes)

    assert Registry(BesideTwo(trained.storage.root), "gender").load(2)


@pytest.mark.parametrize("doubtful", ["copy", "original"])
def test_a_store_that_says_it_exists_and_has_stored_nothing_makes_no_pruning_lose_a_file(
    trained: Registry, doubtful: str
) -> None:
    """Neither the copy that is put aside nor the original that is put back."""
    _, publish = unpublished(trained, 2)

    class Doubtful(LocalStorage):
        conflicts = 1

        def put_if_absent(self, key: str, content: bytes) -> bool:
            if self.conflicts and ("aside" in key) == (doubtful == "copy"):
                self.conflicts -= 1
                return False
            return super().put_if_absent(key, content)

        def delete(self, key: str) -> None:
            super().delete(key)
            publish()

    prunes_nothing(trained, Doubtful(trained.storage.root))


@pytest.mark.parametrize("damage", ["emptied", "too large", "missing"])
def test_nothing_is_pruned_where_a_manifest_cannot_be_read_until_its_version_is_deleted(
    trained: Registry, damage: str
) -> None:
    trained.publish(*another(trained.manifest(1), 3), by="a test")
    weights, manifest_path = artifact(trained, 2), manifest_of(trained, 2)
    if damage == "missing":
        manifest_path.unlink()
    else:
        manifest_path.write_text("{}" if damage == "emptied" else " " * (2 << 20))
    with pytest.raises(CorruptionError):
        pruning.prune(trained, DAY, TOMORROW)
    assert weights.exists()
    trained.delete(2, by="me")
    assert [removal.reason for removal in pruning.prune(trained, DAY, TOMORROW)] == ["no version refers to it"] * 2
    assert not weights.exists()
    assert artifact(trained, 1).exists()
    assert artifact(trained, 3).exists()
    assert len(list(problems(trained))) == 1


def test_of_millions_of_missing_manifests_a_pruning_tells_the_first(trained: Registry) -> None:
    manifest_of(trained, 1_000_000_000).touch()
    with pytest.raises(CorruptionError, match="version 3 of model gender is missing, and there are later ones"):
        pruning.prune(trained, DAY, TOMORROW)


def test_a_version_whose_manifest_cannot_be_read_is_listed_as_such_beside_the_others(trained: Registry) -> None:
    manifest_of(trained, 2).write_text("{}")
    code, said = stature(trained, "models")
    assert code == 0
    assert "version 2 cannot be read: gender/versions/0000000002.json is not a manifest" in said
    assert "1        champion" in said
    newest, older = json.loads(stature(trained, "models", "--json")[1])
    assert (newest["model_version"], newest["aliases"]) == (2, [])
    assert "is not a manifest" in newest["problem"]
    assert older["model_version"] == 1
    assert [problem.partition(":")[0] for problem in problems(trained)] == [
        "gender/versions/0000000002.json is not a manifest"
    ]


def test_a_long_list_of_versions_ends_with_how_to_see_the_older_ones(trained: Registry) -> None:
    said = stature(trained, "models", "--limit", "1")[1].splitlines()
    assert said[1].startswith("2 ")
    assert said[2:] == ["There are older ones: see them with --limit."]
    trained.delete(2, by="me")
    assert [version["model_version"] for version in json.loads(stature(trained, "models", "--json")[1])] == [1]


def test_prune_only_says_what_it_would_do_until_it_is_told_to(trained: Registry) -> None:
    path = artifact(trained, 2)
    assert stature(trained, "delete", "2", "--reason", "no use")[0] == 0
    code, said = stature(trained, "prune", "--grace-hours", "0")
    assert code == 0
    assert "2 files would be removed" in said
    assert path.exists()
    code, said = stature(trained, "prune", "--grace-hours", "0", "--yes")
    assert code == 0
    assert "2 files removed" in said
    assert not path.exists()


def test_what_is_deleted_and_pruned_while_the_registry_is_verified_is_not_missed(trained: Registry) -> None:
    class PrunedMeanwhile(LocalStorage):
        def get(self, key: str, maximum_bytes: int) -> bytes | None:
            if "/artifacts/" in key and not trained.head().is_deleted(2):
                trained.delete(2, by="me")
                assert len(pruning.prune(trained, -DAY)) == 2
            return super().get(key, maximum_bytes)

    assert list(problems(Registry(PrunedMeanwhile(trained.storage.root), "gender"))) == []


# Looking back


def test_the_log_tells_what_each_alias_was_at_a_time(trained: Registry) -> None:
    before, first = "2001-01-01T00:00:00Z", trained.head().record.at.isoformat()
    trained.promote(2, by="me")
    for moment, aliases in (
        (before, {}),
        (first, {"champion": 1}),
        (datetime.now(UTC).isoformat(), {"champion": 2, "previous": 1}),
    ):
        code, said = stature(trained, "log", "--at", moment, "--json")
        assert code == 0
        assert json.loads(said)["aliases"] == aliases


@pytest.mark.parametrize("moment", ["yesterday", "2026-11-01T12:00", "2026-13-01T00:00Z"])
def test_a_time_that_is_none_or_has_no_zone_is_not_guessed_at(trained: Registry, moment: str) -> None:
    code, said = stature(trained, "log", "--at", moment)
    assert code == 2
    assert "2026-1" in said


def test_a_time_without_a_zone_is_given_one_that_can_be_copied(trained: Registry) -> None:
    for moment in ("2026-11-01", "2026-11-01 12:00"):
        proposed = stature(trained, "log", "--at", moment)[1].split()[-1]
        assert stature(trained, "log", "--at", proposed)[0] == 0


def test_a_log_that_was_cut_off_at_its_end_is_shown_by_the_head_one_expected(trained: Registry) -> None:
    trained.promote(2, by="me")
    head = json.loads(stature(trained, "verify", "--json")[1])["head"]
    trained.rollback(by="me")
    assert stature(trained, "verify", "--expect-head", head)[0] == 0
    for number in (2, 3):
        (trained.storage.root / "gender" / "log" / f"{number:010}.json").unlink()
    assert stature(trained, "verify")[0] == 0
    code, said = stature(trained, "verify", "--expect-head", head)
    assert code == 1
    assert f"the log holds no record with the sha256 {head}" in said


# Doctoring


def test_each_storage_does_what_a_registry_needs_and_is_left_as_it_was(storage: Storage) -> None:
    assert list(findings(storage)) == []
    assert storage.list_after(".doctor") == []
    assert storage.list_after(LocalStorage.TEMPORARY) == []


def test_what_a_doctor_left_that_was_killed_is_removed_by_a_later_one(tmp_path: Path) -> None:
    code = """
import os, signal
real, calls = os.link, []
def link(*arguments, **named):
    real(*arguments, **named)
    calls.append(1)
    if len(calls) == 5:
        os.kill(os.getpid(), signal.SIGKILL)
os.link = link
from model.cli import main
main()
"""
    killed = subprocess.run([sys.executable, "-c", code, "doctor"], cwd=tmp_path, check=False, timeout=60)
    storage = LocalStorage(tmp_path / "registry")
    left = storage.list_after(".doctor")

    assert killed.returncode == -signal.SIGKILL
    assert left
    assert list(findings(storage)) == []
    assert storage.list_after(".doctor") == left  # which may be those of another that is at work
    assert list(findings(storage, TOMORROW)) == []
    assert storage.list_after(".doctor") == []


class Overwriting(LocalStorage):
    def put_if_absent(self, key: str, content: bytes) -> bool:
        super().delete(key)
        return super().put_if_absent(key, content)


class CheckingFirst(LocalStorage):
    """Looks and then writes, as a store without preconditions makes one do."""

    def put_if_absent(self, key: str, content: bytes) -> bool:
        if self.get(key, 10_000) is not None:
            return False
        time.sleep(0.01)  # as long as it takes a busy machine to let another writer look too
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return True


class Forgetful(LocalStorage):
    def get(self, key: str, maximum_bytes: int) -> bytes | None:
        return None


class Unsorted(LocalStorage):
    def list_after(self, prefix: str, after: str = "") -> list[str]:
        return super().list_after(prefix)[::-1]


class Generous(LocalStorage):
    def get(self, key: str, maximum_bytes: int) -> bytes | None:
        return super().get(key, 1 << 30)


class Immortal(LocalStorage):
    def delete(self, key: str) -> None:
        pass


class Broken(LocalStorage):
    def put_if_absent(self, key: str, content: bytes) -> bool:
        raise StorageError("permission denied")


@pytest.mark.parametrize(
    ("kind", "finding"),
    [
        (Overwriting, "putting a key twice succeeded twice"),
        (CheckingFirst, "of 8 writers of one key at once"),
        (Forgetful, "a key could not be read right after it was put"),
        (Unsorted, "in another order"),
        (Generous, "a file larger than allowed was read"),
        (Immortal, "could be read after it was deleted"),
        (Broken, "permission denied"),
    ],
)
def test_the_doctor_says_what_a_bad_storage_does_wrong(tmp_path: Path, kind: type[LocalStorage], finding: str) -> None:
    assert any(finding in found for found in findings(kind(tmp_path)))


def test_the_command_fails_closed(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for location, code in ((tmp_path / "new", 0), (tmp_path / "file", 1)):
        assert CliRunner().invoke(main, ["doctor", "--registry", str(location)]).exit_code == code
