"""A version's report: a file beside its weights, put before the manifest, checked, audited and pruned as they are."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner
from integration.registry_worker import another

from model.cli.group import main
from model.errors import CorruptionError, NotFoundError, RefusedError
from model.registry import pruning
from model.registry.audit import problems
from model.registry.manifest import MAXIMUM_FILE_BYTES, Manifest, encode
from model.registry.registry import Registry
from model.registry.storage import LocalStorage, unique_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DAY = timedelta(days=1)
TOMORROW = datetime.now(UTC) + 2 * DAY
REPORT = b"<!doctype html><title>A report</title>"


def publish(registry: Registry, report: bytes | None = REPORT) -> Manifest:
    return registry.publish(*another(registry.manifest(1), 3), by="a test", report=report).manifest


def path_of(registry: Registry, manifest: Manifest) -> Path:
    return registry.storage.root / "gender" / manifest.files.report.key


# In the registry


def test_a_version_keeps_its_report_and_one_without_a_report_is_as_good(trained: Registry) -> None:
    manifest = publish(trained)
    assert trained.report(manifest.number) == REPORT
    assert path_of(trained, manifest).parent.name == "reports"
    without = publish(trained, report=None)
    assert without.files.report is None
    assert trained.load(without.number)
    with pytest.raises(NotFoundError, match=f"version {without.number} of model gender was published without a report"):
        trained.report(without.number)
    assert list(problems(trained)) == []


def test_the_report_is_there_before_the_manifest_names_it(trained: Registry) -> None:
    order: list[str] = []

    class Noting(LocalStorage):
        def put_if_absent(self, key: str, content: bytes) -> bool:
            order.append(key.split("/")[1])
            return super().put_if_absent(key, content)

    publish(Registry(Noting(trained.storage.root), "gender"))
    assert order[:3] == ["artifacts", "reports", "versions"]


def test_a_report_that_readers_would_refuse_is_not_published(trained: Registry) -> None:
    with pytest.raises(RefusedError, match="the report would have 4,194,305 bytes, and 4,194,304 are allowed"):
        publish(trained, b" " * (MAXIMUM_FILE_BYTES + 1))
    assert trained.numbers() == [1, 2]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda path: path.unlink(), "lacks its report"),
        (lambda path: path.write_bytes(REPORT[:-1]), "bytes, its manifest says"),
        (lambda path: path.write_bytes(REPORT + b"<script>"), "is larger than"),
        (lambda path: path.write_bytes(REPORT.swapcase()), "does not have the sha256 that its manifest says"),
    ],
    ids=["lost", "cut", "longer", "another"],
)
def test_a_report_that_is_not_what_was_published_is_refused_and_audited_and_its_version_still_answers(
    trained: Registry, damage: Callable[[Path], None], said: str
) -> None:
    manifest = publish(trained)
    damage(path_of(trained, manifest))
    with pytest.raises(CorruptionError, match=said):
        trained.report(manifest.number)
    assert [said in problem for problem in problems(trained)] == [True]
    assert trained.load(manifest.number)


# Pruned


def test_the_report_of_a_deleted_version_is_pruned_with_its_weights_and_no_other(trained: Registry) -> None:
    kept, deleted = publish(trained), publish(trained)
    trained.delete(deleted.number, by="a test")
    removed = pruning.prune(trained, DAY, TOMORROW)
    assert {removal.key for removal in removed} == {f"gender/{file.key}" for file in deleted.files.all}
    assert trained.report(kept.number) == REPORT
    assert list(problems(trained)) == []


def test_a_file_that_two_versions_name_is_kept_for_the_one_that_is_not_deleted(trained: Registry) -> None:
    """As another program may publish them."""
    manifest = publish(trained)
    again = manifest.model_copy(update={"number": manifest.number + 1, "transaction": "0" * 32})
    trained.storage.put_if_absent(f"gender/versions/{again.number:010}.json", encode(again))
    trained.delete(again.number, by="a test")
    assert pruning.prune(trained, DAY, TOMORROW) == []
    assert trained.report(manifest.number) == REPORT
    assert trained.load(manifest.number)


def test_a_report_that_a_crash_left_is_pruned_once_it_is_old_enough(trained: Registry) -> None:
    orphan = f"gender/reports/{unique_name()}.html"
    trained.storage.put_if_absent(orphan, REPORT)
    assert pruning.prune(trained, DAY) == []
    assert [removal.key for removal in pruning.prune(trained, DAY, TOMORROW)] == [orphan]


@pytest.mark.parametrize("killed", [False, True])
def test_a_report_whose_manifest_comes_while_it_is_pruned_is_put_back(trained: Registry, *, killed: bool) -> None:
    manifest = publish(trained)
    path = trained.storage.root / "gender" / "versions" / f"{manifest.number:010}.json"
    content = path.read_bytes()
    path.unlink()

    class CommittedMeanwhile(LocalStorage):
        def delete(self, key: str) -> None:
            super().delete(key)
            path.write_bytes(content)
            if killed and "/reports/" in key:
                raise KeyboardInterrupt

    late = Registry(CommittedMeanwhile(trained.storage.root), "gender")
    if killed:
        with pytest.raises(KeyboardInterrupt):
            pruning.prune(late, DAY, TOMORROW)
        assert not path_of(trained, manifest).exists()
        assert pruning.prune(trained, DAY) == []
    else:
        assert pruning.prune(late, DAY, TOMORROW) == []
    assert trained.report(manifest.number) == REPORT
    assert list(problems(trained)) == []


# Asked for by a command


def stature(registry: Registry, *arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*arguments, "--registry", str(registry.storage)])
    return done.exit_code, done.output


def test_the_command_writes_the_report_as_it_was_published_by_number_or_alias(
    trained: Registry, tmp_path: Path
) -> None:
    output = tmp_path / "report.html"
    code, said = stature(trained, "report", "champion", "--output", str(output))
    assert code == 0
    assert said == f"Wrote the report on version 1 of {trained} to {output}.\n"
    assert output.read_bytes() == trained.report(1)
    code, said = stature(trained, "report", "2", "--output", str(tmp_path / "2.html"), "--json")
    assert json.loads(said) == {"model": "gender", "model_version": 2, "output": str(tmp_path / "2.html")}


def test_the_command_overwrites_nothing_and_says_where_there_is_no_report(trained: Registry, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    output.write_text("mine")
    code, said = stature(trained, "report", "1", "--output", str(output))
    assert code == 1
    assert "exists already, and is not overwritten" in said
    assert output.read_text() == "mine"
    number = publish(trained, report=None).number
    code, said = stature(trained, "report", str(number), "--output", str(tmp_path / "none.html"))
    assert code == 1
    assert f"version {number} of model gender was published without a report" in said
    assert not (tmp_path / "none.html").exists()
