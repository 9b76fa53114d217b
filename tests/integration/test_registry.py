"""The registry: what publish, promote and roll back leave behind, and what the audit finds in a changed one."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pytest

from model.errors import CorruptionError, ExpectationError, NotFoundError, RefusedError, SettingsError, StorageError
from model.network.network import Network
from model.predictor import Predictor
from model.registry import registry as registry_module
from model.registry.audit import problems
from model.registry.manifest import Draft, Manifest, encode
from model.registry.registry import MAXIMUM_RECORD_BYTES, Registry
from model.registry.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def publish(registry: Registry, seed: int) -> Manifest:
    """One more version: the first one's manifest, told of another network."""
    from integration.registry_worker import draft_of

    draft = registry.manifest(1)
    predictor = Predictor(Network((2, 2, 1), np.random.default_rng(seed).standard_normal(9)), draft.shift, draft.scale)
    return registry.publish(draft_of(draft, predictor), predictor, by="a test").manifest


def path_of(registry: Registry, key: str) -> Path:
    assert isinstance(registry.storage, LocalStorage)
    return registry.storage.root / registry.model / key


def test_versions_are_numbered_without_gaps_and_hold_what_was_published(trained: Registry) -> None:
    third, fourth = publish(trained, 3), publish(trained, 4)
    assert (third.number, fourth.number) == (3, 4)
    assert trained.numbers() == [1, 2, 3, 4]
    assert trained.load(4).manifest == fourth
    assert list(problems(trained)) == []


def test_promoting_makes_the_old_champion_the_previous_one(trained: Registry) -> None:
    head = trained.promote(2, by="me", reason="better for us")
    assert head.state.aliases == {"champion": 2, "previous": 1}
    assert (head.record.by, head.record.reason) == ("me", "better for us")
    assert trained.head() == head


def test_rolling_back_swaps_and_twice_is_as_before(trained: Registry) -> None:
    trained.promote(2, by="me")
    assert trained.rollback(by="me").state.aliases == {"champion": 1, "previous": 2}
    assert trained.rollback(by="me").state.aliases == {"champion": 2, "previous": 1}
    assert list(problems(trained)) == []


def test_rolling_back_without_a_previous_champion_is_refused(trained: Registry) -> None:
    with pytest.raises(RefusedError, match="no previous champion"):
        trained.rollback(by="me")


def test_promoting_the_champion_writes_nothing(trained: Registry) -> None:
    before = trained.head()
    assert trained.promote(1, by="me") == before
    assert trained.record_numbers() == [before.number]


def test_an_alias_of_ones_own_names_a_version_and_moves_alone(trained: Registry) -> None:
    head = trained.set_alias(2, "challenger", by="me", reason="a try")
    assert head.state.aliases == {"champion": 1, "challenger": 2}
    assert (head.record.operation.name, head.record.operation.alias) == ("set_alias", "challenger")
    assert trained.resolve("challenger", head) == 2
    assert trained.set_alias(2, "challenger", by="me") == head
    trained.promote(2, by="me")
    assert trained.set_alias(1, "challenger", by="me").state.aliases == {"champion": 2, "challenger": 1, "previous": 1}
    assert list(problems(trained)) == []


def test_a_version_with_an_alias_of_ones_own_cannot_be_deleted(trained: Registry) -> None:
    trained.set_alias(2, "challenger", by="me")
    with pytest.raises(RefusedError, match="version 2 of model gender is challenger: move that first"):
        trained.delete(2, by="me")
    trained.set_alias(1, "challenger", by="me")
    assert trained.delete(2, by="me").is_deleted(2)


@pytest.mark.parametrize("alias", ["champion", "previous"])
def test_champion_and_previous_move_by_promoting_and_rolling_back_alone(trained: Registry, alias: str) -> None:
    with pytest.raises(RefusedError, match=f"the alias {alias} moves by promoting and rolling back alone"):
        trained.set_alias(2, alias, by="me")
    assert trained.record_numbers() == [1]


@pytest.mark.parametrize("alias", ["", "3", "A", "a/b", "a" * 64])
def test_an_alias_has_a_plain_name(trained: Registry, alias: str) -> None:
    with pytest.raises(SettingsError, match="cannot name an alias"):
        trained.set_alias(2, alias, by="me")


def test_an_alias_is_not_given_to_what_cannot_be_served(trained: Registry) -> None:
    with pytest.raises(NotFoundError):
        trained.set_alias(9, "challenger", by="me")
    path_of(trained, trained.manifest(2).files.weights.key).unlink()
    with pytest.raises(CorruptionError):
        trained.set_alias(2, "challenger", by="me")


def test_an_alias_is_not_moved_where_the_champion_is_not_the_expected_one(trained: Registry) -> None:
    with pytest.raises(ExpectationError):
        trained.set_alias(2, "challenger", by="me", expect=2)
    assert trained.set_alias(2, "challenger", by="me", expect=1).number == 2


@pytest.mark.parametrize("expect", [2, "none"])
def test_a_move_is_refused_where_the_champion_is_not_the_expected_one(trained: Registry, expect: int | str) -> None:
    before = trained.record_numbers()
    for move in (lambda: trained.promote(2, by="me", expect=expect), lambda: trained.rollback(by="me", expect=expect)):
        with pytest.raises(ExpectationError, match="the champion of model gender is version 1, not"):
            move()
    assert trained.record_numbers() == before


def test_there_is_no_rolling_back_from_no_champion(trained: Registry) -> None:
    edit(trained, "log/0000000001.json", lambda document: document["state"].update(aliases={"previous": 1}))
    with pytest.raises(RefusedError, match="has no previous champion to roll back to"):
        trained.rollback(by="me")


def test_a_version_that_cannot_be_served_cannot_be_promoted(trained: Registry) -> None:
    path_of(trained, trained.manifest(2).files.weights.key).unlink()
    with pytest.raises(CorruptionError, match="lacks its weights"):
        trained.promote(2, by="me")
    assert trained.head().champion == 1


def test_what_is_not_there_is_not_found(trained: Registry) -> None:
    with pytest.raises(NotFoundError, match="no version 9; the newest is 2"):
        trained.load(9)
    with pytest.raises(NotFoundError, match="no alias 'nobody'; the aliases are: champion"):
        trained.resolve("nobody", trained.head())
    for name in ("0", "01", "-1", "1.0", "", "../1", "¹", "99999999999"):
        with pytest.raises(NotFoundError):
            trained.load(trained.resolve(name, trained.head()))


@pytest.mark.parametrize("name", ["", "Gender", "../gender", "a/b", "1a", "a" * 64, "ä", "a\n"])
def test_a_model_has_a_plain_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot name a model"):
        Registry(LocalStorage(tmp_path), name)


def test_records_are_never_older_than_the_one_before_though_the_clock_jumps_back(
    trained: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = trained.head().record.at
    monkeypatch.setattr(registry_module, "_now", lambda: datetime.now(UTC) - timedelta(days=365))
    assert trained.promote(2, by="me").record.at == before
    assert list(problems(trained)) == []


def test_a_reader_at_the_end_of_the_log_looks_once_and_follows_to_the_new_end(trained: Registry) -> None:
    head = trained.head()
    assert trained.after(head) is head
    trained.promote(2, by="me")
    trained.rollback(by="me")
    assert trained.after(head) == trained.head()


class Unreliable(LocalStorage):
    """Storage whose next puts do not go well: before or after the file was really written."""

    def __init__(self, storage: LocalStorage, faults: list[str]) -> None:
        super().__init__(storage.root)
        self.faults = faults

    def put_if_absent(self, key: str, content: bytes) -> bool:
        fault = self.faults.pop(0) if self.faults else "none"
        if fault == "lost before":
            raise StorageError("the connection broke")
        if fault == "conflict with nothing stored":
            return False
        done = super().put_if_absent(key, content)
        if fault == "reply lost":
            raise StorageError("the connection broke")
        return False if fault == "retried below, so it exists" else done


FAULTS = ["lost before", "conflict with nothing stored", "reply lost", "retried below, so it exists"]


@pytest.mark.parametrize("step", range(2))
@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_put_says_a_version_is_published_once(trained: Registry, fault: str, step: int) -> None:
    unreliable = Registry(Unreliable(trained.storage, [*["none"] * step, fault]), "gender")
    assert publish(unreliable, 3).number == 3
    assert trained.numbers() == [1, 2, 3]
    assert list(problems(trained)) == []


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_a_put_says_an_alias_is_moved_once(trained: Registry, fault: str) -> None:
    unreliable = Registry(Unreliable(trained.storage, [fault]), "gender")
    assert unreliable.promote(2, by="me", expect=1).number == 2
    assert trained.record_numbers() == [1, 2]
    assert list(problems(trained)) == []


def test_a_storage_that_never_answers_is_an_error_and_nothing_is_half_there(trained: Registry) -> None:
    unreliable = Registry(Unreliable(trained.storage, ["none", *["lost before"] * 10]), "gender")
    with pytest.raises(StorageError, match="the connection broke"):
        publish(unreliable, 3)
    assert trained.numbers() == [1, 2]
    assert list(problems(trained)) == []


class Overtaken(LocalStorage):
    """Storage on which another is always a moment faster, the first few times."""

    def __init__(self, storage: LocalStorage, overtake: Callable[[], object]) -> None:
        super().__init__(storage.root)
        self.overtake: Callable[[], object] | None = overtake

    def put_if_absent(self, key: str, content: bytes) -> bool:
        if "artifacts" not in key and self.overtake is not None:
            overtake, self.overtake = self.overtake, None
            overtake()
        return super().put_if_absent(key, content)


def test_a_number_that_another_took_first_is_theirs_and_ours_is_the_next(trained: Registry) -> None:
    ours = publish(Registry(Overtaken(trained.storage, lambda: publish(trained, 3)), "gender"), 4)
    assert ours.number == 4
    assert trained.numbers() == [1, 2, 3, 4]
    assert list(problems(trained)) == []


def test_an_expectation_is_evaluated_again_after_another_moved_the_alias(trained: Registry) -> None:
    overtaken = Registry(Overtaken(trained.storage, lambda: trained.promote(2, by="another")), "gender")
    publish(trained, 3)
    with pytest.raises(ExpectationError, match="is version 2, not version 1"):
        overtaken.promote(3, by="me", expect=1)
    assert trained.head().champion == 2


def test_without_an_expectation_both_moves_are_on_record(trained: Registry) -> None:
    publish(trained, 3)
    overtaken = Registry(Overtaken(trained.storage, lambda: trained.promote(2, by="another")), "gender")
    assert overtaken.promote(3, by="me").state.aliases == {"champion": 3, "previous": 2}
    assert list(problems(trained)) == []


# What the audit finds


def edit(registry: Registry, key: str, change: Callable[[dict], object]) -> None:
    path = path_of(registry, key)
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


RECORD_2, RECORD_3, MANIFEST_2 = "log/0000000002.json", "log/0000000003.json", "versions/0000000002.json"
TAMPERINGS: dict[str, tuple[Callable[[Registry], object], str]] = {
    "a record's reason": (lambda r: edit(r, RECORD_2, lambda d: d.update(reason="x")), "log record 3 is not chained"),
    "a record's state": (
        lambda r: edit(r, RECORD_3, lambda d: d["state"]["aliases"].update(champion=2)),
        "log record 3 has a state that does not follow",
    ),
    "a record's operation": (
        lambda r: edit(r, RECORD_3, lambda d: d["operation"].update(name="surprise")),
        "log record 3 has the operation 'surprise'",
    ),
    "a record's alias": (
        lambda r: edit(r, RECORD_3, lambda d: d["operation"].update(name="set_alias", alias="champion")),
        "log record 3 sets the alias champion, which only promoting and rolling back may move",
    ),
    "a record's time": (
        lambda r: edit(r, RECORD_3, lambda d: d.update(at="2001-01-01T00:00:00Z")),
        "log record 3 is older",
    ),
    "a record's expectation": (
        lambda r: edit(r, RECORD_3, lambda d: d["operation"].update(expect=1)),
        "log record 3 expected version 1, and the champion was version 2",
    ),
    "a record's transaction": (
        lambda r: edit(r, RECORD_3, lambda d: d.update(transaction=r.at(1).record.transaction)),
        "log record 3 has the transaction id of log record 1",
    ),
    "the champion before a rollback": (
        lambda r: edit(r, RECORD_2, lambda d: d["state"]["aliases"].pop("champion")),
        "log record 3 rolls back, and there was no previous champion",
    ),
    "an alias to nowhere": (
        lambda r: edit(r, RECORD_3, lambda d: d["state"]["aliases"].update(challenger=9)),
        "log record 3 has the alias challenger point at version 9",
    ),
    "a record under another number": (
        lambda r: edit(r, RECORD_2, lambda d: d.update(number=7)),
        "0000000002.json says that it is record 7",
    ),
    "a record removed": (lambda r: path_of(r, RECORD_2).unlink(), "log record 2 is missing"),
    "a record emptied": (lambda r: path_of(r, RECORD_2).write_text(""), "0000000002.json is not a record"),
    "a manifest": (
        lambda r: edit(r, MANIFEST_2, lambda d: d.update(created_by="x")),
        "log record 2 was written for another manifest of version 2",
    ),
    "a manifest removed": (lambda r: path_of(r, "versions/0000000001.json").unlink(), "version 1 is missing"),
    "a manifest emptied": (lambda r: path_of(r, MANIFEST_2).write_text("{}"), "0000000002.json is not a manifest"),
    "an artifact removed": (
        lambda r: path_of(r, r.manifest(2).files.weights.key).unlink(),
        "version 2 of gender lacks its weights",
    ),
    "an artifact swapped": (
        lambda r: path_of(r, r.manifest(2).files.weights.key).write_bytes(
            path_of(r, r.manifest(1).files.weights.key).read_bytes()
        ),
        "does not have the sha256",
    ),
}


@pytest.mark.parametrize("what", TAMPERINGS)
def test_the_audit_finds_tampering_with(trained: Registry, what: str) -> None:
    trained.promote(2, by="me")
    trained.rollback(by="me")
    assert list(problems(trained)) == []
    tamper, finding = TAMPERINGS[what]
    tamper(trained)
    assert re.search(re.escape(finding), "\n".join(problems(trained)))


def test_state_that_a_later_release_added_is_carried_along(trained: Registry) -> None:
    edit(trained, "log/0000000001.json", lambda document: document["state"].update(added_later=[1, 2]))
    trained.promote(2, by="me")
    assert json.loads(path_of(trained, RECORD_2).read_text())["state"]["added_later"] == [1, 2]


def test_a_draft_says_nothing_that_only_the_registry_knows() -> None:
    assert not {"number", "transaction", "created_at", "files", "model"} & set(Draft.model_fields)


# What would be beyond repair


def test_a_record_that_readers_would_refuse_is_not_written(trained: Registry) -> None:
    with pytest.raises(RefusedError, match="1,048,576 are allowed"):
        trained.promote(2, by="me", reason="x" * (1 << 20))
    assert trained.head().champion == 1
    assert trained.promote(2, by="me", reason="\udcff is no text").record.reason == "? is no text"


def test_no_deletion_fills_a_record_so_that_no_alias_could_be_moved_any_more(trained: Registry) -> None:
    """Every record holds the state whole, all deleted versions too."""
    path, record = path_of(trained, "log/0000000001.json"), trained.head().record
    state = record.state.model_copy(update={"deleted": tuple(range(10**9, 10**9 + 58_000))})
    path.write_bytes(encode(record.model_copy(update={"state": state})))
    assert MAXIMUM_RECORD_BYTES // 2 < path.stat().st_size < MAXIMUM_RECORD_BYTES
    with pytest.raises(RefusedError, match="524,288 are allowed"):
        trained.delete(2, by="me")
    trained.set_alias(2, "challenger", by="me")
    trained.promote(2, by="me")
    assert trained.rollback(by="me").champion == 1


def test_a_missing_record_is_no_end_of_the_log(trained: Registry) -> None:
    for _ in range(3):
        trained.promote(2, by="me")
        trained.promote(1, by="me")
    path_of(trained, "log/0000000004.json").unlink()
    for look in (trained.head, lambda: trained.promote(2, by="me"), lambda: list(trained.log())):
        with pytest.raises(CorruptionError, match=r"log/0000000004\.json is missing, and there are later ones"):
            look()


def test_a_missing_manifest_is_no_place_for_the_next_version(trained: Registry) -> None:
    publish(trained, 3)
    path_of(trained, MANIFEST_2).unlink()
    assert publish(trained, 4).number == 4
    assert list(problems(trained)) == ["version 2 is missing, and there are later ones"]


@pytest.mark.parametrize("spoken_of", ["champion", "alias", "deleted"])
def test_a_number_that_the_log_speaks_of_is_not_given_again_though_its_manifest_is_lost(
    trained: Registry, spoken_of: str
) -> None:
    """Or else a version that nobody has promoted would be champion."""
    if spoken_of == "champion":
        trained.promote(2, by="me")
    elif spoken_of == "alias":
        trained.set_alias(2, "challenger", by="me")
    else:
        trained.delete(2, by="me")
    path_of(trained, MANIFEST_2).unlink()
    assert publish(trained, 3).number == 3


def test_a_stray_file_with_the_last_number_is_told_and_no_version_follows_it(trained: Registry) -> None:
    path_of(trained, "versions/9999999999.json").write_text("{}")
    with pytest.raises(CorruptionError, match="version 9999999999 of gender leaves no number: remove what"):
        publish(trained, 3)


def test_a_manifest_that_may_not_be_read_is_not_taken_for_a_missing_or_another_one(trained: Registry) -> None:
    class Forbidding(LocalStorage):
        def get(self, key: str, maximum_bytes: int) -> bytes | None:
            if key == f"gender/{MANIFEST_2}":
                raise StorageError("permission denied")
            return super().get(key, maximum_bytes)

    trained.promote(2, by="me")
    assert list(problems(Registry(Forbidding(trained.storage.root), "gender"))) == ["permission denied"]


def test_many_missing_manifests_are_said_as_the_first_and_the_last_of_them(trained: Registry) -> None:
    for number in (5, 7, 1_000_000):
        path_of(trained, f"versions/{number:010}.json").touch()
    assert list(problems(trained))[:3] == [
        "versions 3 to 4 are missing, and there are later ones",
        "version 6 is missing, and there are later ones",
        "versions 8 to 999999 are missing, and there are later ones",
    ]


def test_what_is_published_while_versions_are_listed_is_not_missed_among_them(trained: Registry) -> None:
    """A directory that is read in pieces may show a later file and not an earlier one, both of them new."""

    class InPieces(LocalStorage):
        seed = 3

        def list_after(self, prefix: str, after: str = "") -> list[str]:
            first_piece = super().list_after(prefix, after)
            if prefix != "gender/versions":
                return first_piece
            for _ in range(2):
                publish(trained, self.seed)
                self.seed += 1
            return [*first_piece, super().list_after(prefix, after)[-1]]

    in_pieces = Registry(InPieces(trained.storage.root), "gender")
    assert in_pieces.numbers() == [1, 2, 3, 4]
    assert list(problems(in_pieces)) == []


def test_a_reader_does_not_follow_a_record_that_is_not_chained_to_its_own(trained: Registry) -> None:
    head = trained.head()
    trained.promote(2, by="me")
    edit(trained, RECORD_2, lambda document: document.update(previous_sha256="0" * 64))
    with pytest.raises(CorruptionError, match="not chained"):
        trained.after(head)
