"""The registry of one model: two append-only rows of files, versions and alias moves, on storage that never overwrites.

    <model>/artifacts/<uuid>.npz        weights,
    <model>/reports/<uuid>.html         and what is told of them to people; nothing refers to either until
    <model>/versions/0000000007.json    the manifest is created, which is the commit of version 7
    <model>/log/0000000012.json         creating it is the commit of one alias move; it holds the whole state after it

A number is claimed by creating its file. Whoever finds it taken, or gets an unclear error, reads it back: if it is
their own, they succeeded; if another's, they look at the new state of things and try the next number.
"""

from __future__ import annotations

import getpass
import itertools
import os
import platform
import re
import uuid
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from model.errors import (
    CorruptionError,
    ExpectationError,
    NotFoundError,
    OversizedError,
    RefusedError,
)
from model.registry.log import CHAMPION, PREVIOUS, Expect, Head, Operation, Record, apply, in_words
from model.registry.manifest import (
    MAXIMUM_FILE_BYTES,
    MAXIMUM_MANIFEST_BYTES,
    NUMERAL,
    Draft,
    File,
    Files,
    Manifest,
    Verdict,
    check_name,
    decode,
    encode,
)
from model.registry.storage import check_writable, claim, unique_name
from model.registry.version import Version, check_file, encode_weights, verify

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from model.predictor import Predictor
    from model.registry.storage import Storage

MAXIMUM_RECORD_BYTES = 1 << 20


class Registry:
    """The versions of one model and the log of its aliases."""

    def __init__(self, storage: Storage, model: str) -> None:
        self.model = check_name(model, "a model")
        self.storage = storage

    def __str__(self) -> str:
        return f"model {self.model} in {self.storage}"

    # Reading

    def numbers(self) -> list[int]:
        """The numbers of all versions ever published, deleted ones included."""
        return self._numbers("versions")

    def newest_number(self, known: int = 0) -> int:
        """The highest of them, 0 where there is none. Of one that is known already it is found with a look or two."""
        return self._last("versions", known)

    def manifest(self, number: int) -> Manifest:
        """What a version says of itself. NotFoundError, CorruptionError."""
        return self.read_manifest(number)[0]

    def load(self, number: int) -> Version:
        """A version, verified, ready to answer. NotFoundError, CorruptionError."""
        manifest = self.manifest(number)
        return verify(manifest, self._file(manifest, manifest.files.weights, "weights"))

    def report(self, number: int) -> bytes:
        """What a version's training told of it, as HTML. NotFoundError where there is none, CorruptionError."""
        manifest = self.manifest(number)
        file = manifest.files.report
        if file is None:
            raise NotFoundError(f"version {number} of model {self.model} was published without a report")
        content = self._file(manifest, file, "report")
        check_file(file, content, f"version {number} of {self.model}: {file.key}")
        return content

    def record_numbers(self) -> list[int]:
        """The numbers of all records of the log."""
        return self._numbers("log")

    def head(self) -> Head:
        """The end of the log."""
        number = self._last("log")
        return self.at(number) if number else Head()

    def after(self, head: Head) -> Head:
        """The end of the log for a reader that knows it up to here: a single look if nothing has happened."""
        while (found := self.read_record(head.number + 1)) is not None:
            if found.record is not None and found.record.previous_sha256 != head.sha256:
                raise CorruptionError(f"log record {found.number} of {self.model} is not chained to the one before it")
            head = found
        return head

    def at(self, number: int) -> Head:
        """The log as it was when this record was its last. NotFoundError, CorruptionError."""
        head = self.read_record(number)
        if head is None:
            raise NotFoundError(f"model {self.model} has no log record {number}")
        return head

    def log(self, after: int = 0) -> Iterator[Record]:
        """The records of the log with numbers above `after`, oldest first. CorruptionError where one is missing."""
        last = after
        while (head := self.read_record(last + 1)) is not None and head.record is not None:
            yield head.record
            last = head.number
        self._later("log", last)

    def resolve(self, name: str, head: Head) -> int:
        """The number of the version that a number or an alias names. NotFoundError where it names none."""
        if re.fullmatch(NUMERAL, name):
            number = int(name)
        elif (aliased := head.state.aliases.get(name)) is not None:
            number = aliased
        else:
            known = ", ".join(sorted(head.state.aliases)) or "none yet"
            raise NotFoundError(f"model {self.model} has no alias {name!r:.80}; the aliases are: {known}")
        if head.is_deleted(number):
            raise NotFoundError(f"version {number} of model {self.model} was deleted")
        return number

    def newest(self, limit: int, head: Head, before: int | None = None) -> list[dict[str, Any]]:
        """Summaries of the versions below a number that are not deleted, the newest first, at most `limit`."""
        last = self.newest_number() if before is None else min(before - 1, self.newest_number())
        numbers = (number for number in range(last, 0, -1) if not head.is_deleted(number))
        return [self._summary(number, head) for number in itertools.islice(numbers, limit)]

    def _summary(self, number: int, head: Head) -> dict[str, Any]:
        """A version in a few figures; of one whose manifest cannot be read, why: the others are listed all the same."""
        known = {"model_version": number, "aliases": head.aliases_of(number)}
        try:
            manifest = self.manifest(number)
        except (CorruptionError, NotFoundError) as error:
            return known | {"problem": str(error)}
        return known | {
            "created_at": manifest.created_at.isoformat(),
            "created_by": manifest.created_by,
            "data": manifest.data.source,
            "trainer": manifest.trainer.name,
            "layer_sizes": list(manifest.layer_sizes),
            "metrics": manifest.evaluation.metrics.model_dump(),
            "digest": manifest.digest,
        }

    # Writing

    def check_writable(self) -> None:
        """StorageError where nothing could be published, as far as a look can tell: before the work, not after it."""
        check_writable(self.storage, f"{self.model}/artifacts", f"{self.model}/versions")

    def publish(self, draft: Draft, predictor: Predictor, by: str, report: bytes | None = None) -> Version:
        """Make this the next version, durably, and read it back. StorageError and CorruptionError, where that fails."""
        weights = encode_weights(predictor)
        contents = {"weights": _named("artifacts", "npz", weights, "weights")}
        if report is not None:
            contents["report"] = _named("reports", "html", report, "report")
        for file, content in contents.values():
            self._claim(file.key, content)
        said = {name: getattr(draft, name) for name in Draft.model_fields}
        transaction = uuid.uuid4().hex
        # Where the newest manifest is lost, its number is not free: another network would be what the log speaks of.
        state = self.head().state
        number = max([self.newest_number(), *state.aliases.values(), *state.deleted])
        if number >= _LAST_NUMBER:
            raise CorruptionError(
                f"version {number} of {self.model} leaves no number: remove what does not belong there"
            )
        claimed = False
        while not claimed:
            number += 1
            manifest = Manifest(
                **said,
                model=self.model,
                number=number,
                transaction=transaction,
                created_at=_now(),
                created_by=_text(by),
                files=Files(**{name: file for name, (file, _) in contents.items()}),
            )
            content = _checked(encode(manifest), MAXIMUM_MANIFEST_BYTES, "manifest")
            claimed = self._claim(_key("versions", number), content)
        # Whoever was paused for longer than prune's grace period before the commit may have lost these files.
        for file, content in contents.values():
            self._claim(file.key, content)
        if report is not None:
            self.report(number)
        return self.load(number)

    def promote(
        self, number: int, *, by: str, reason: str = "", expect: Expect = None, verdict: Verdict | None = None
    ) -> Head:
        """Make a version the champion; the champion before it becomes `previous`. Nothing is written if it is already.

        Raises NotFoundError, CorruptionError for a version that could not be served, ExpectationError.
        """
        self.load(number)
        return self._append(
            lambda head: None if head.champion == number else Operation(name="promote", version=number, expect=expect),
            expect=expect,
            by=by,
            reason=reason,
            verdict=verdict,
        )

    def rollback(self, *, by: str, reason: str = "", expect: Expect = None) -> Head:
        """Swap `champion` and `previous`. RefusedError where there is no previous champion, ExpectationError."""

        def operation(head: Head) -> Operation:
            previous = head.state.aliases.get(PREVIOUS)
            if previous is None or head.champion is None:
                raise RefusedError(f"model {self.model} has no previous champion to roll back to")
            self.load(previous)
            return Operation(name="rollback", version=previous, expect=expect)

        return self._append(operation, expect=expect, by=by, reason=reason)

    def set_alias(self, number: int, alias: str, *, by: str, reason: str = "", expect: Expect = None) -> Head:
        """Let an alias such as `challenger` name a version. Nothing is written if it does already.

        Raises RefusedError for `champion` and `previous`, which move by promoting and rolling back, SettingsError for
        a name that no alias can have, NotFoundError, CorruptionError, ExpectationError.
        """
        if alias in (CHAMPION, PREVIOUS):
            raise RefusedError(f"the alias {alias} moves by promoting and rolling back alone")
        check_name(alias, "an alias")
        self.load(number)

        def operation(head: Head) -> Operation | None:
            if head.state.aliases.get(alias) == number:
                return None
            return Operation(name="set_alias", version=number, alias=alias, expect=expect)

        return self._append(operation, expect=expect, by=by, reason=reason)

    def delete(self, number: int, *, by: str, reason: str = "") -> Head:
        """Mark a version as deleted: it can no longer be used, and its number is never used again.

        Raises NotFoundError, and RefusedError while an alias points at the version.
        """

        def operation(head: Head) -> Operation:
            if head.is_deleted(number):
                raise NotFoundError(f"version {number} of model {self.model} was deleted already")
            aliases = head.aliases_of(number)
            if aliases:
                raise RefusedError(
                    f"version {number} of model {self.model} is {' and '.join(aliases)}: move that first"
                )
            return Operation(name="delete", version=number)

        return self._append(operation, by=by, reason=reason)

    def judge(self, number: int, *, by: str, verdict: Verdict) -> Head:
        """Put on record that a version was judged again and not promoted."""
        return self._append(
            lambda _: Operation(name="judge", version=number), by=by, reason=verdict.reason, verdict=verdict
        )

    def _append(
        self,
        operation_after: Callable[[Head], Operation | None],
        *,
        by: str,
        reason: str,
        expect: Expect = None,
        verdict: Verdict | None = None,
    ) -> Head:
        """Create the next record, whatever others append meanwhile: each try looks at the log anew."""
        transaction = uuid.uuid4().hex
        head = self.head()
        while True:
            if expect is not None and head.champion != (None if expect == "none" else expect):
                found, wanted = in_words(head.champion), in_words(expect)
                raise ExpectationError(f"the champion of model {self.model} is {found}, not {wanted} as expected")
            operation = operation_after(head)
            if operation is None:
                return head
            version = operation.version
            state = apply(operation, head.state)
            if version is not None and head.is_deleted(version):
                raise NotFoundError(f"version {version} of model {self.model} was deleted")
            record = Record(
                model=self.model,
                number=head.number + 1,
                transaction=transaction,
                at=max(_now(), head.record.at) if head.record else _now(),
                by=_text(by),
                reason=_text(reason),
                operation=operation,
                verdict=verdict,
                manifest_sha256=None if version is None else self.manifest_sha256(version),
                previous_sha256=head.sha256,
                state=state,
            )
            # Deletions are what grows without end, and must leave room for promotions.
            most = MAXIMUM_RECORD_BYTES // 2 if operation.name == "delete" else MAXIMUM_RECORD_BYTES
            content = _checked(encode(record), most, "log record")
            if self._claim(_key("log", record.number), content):
                return Head(record, sha256(content).hexdigest())
            head = self.after(head)

    # Files

    def _claim(self, key: str, content: bytes) -> bool:
        return claim(self.storage, f"{self.model}/{key}", content)

    def _file(self, manifest: Manifest, file: File, what: str) -> bytes:
        """The content of a file that a manifest names, not yet checked. CorruptionError where it is not there."""
        key = f"{self.model}/{file.key}"
        for place in self._places(key):
            content = self._get(place, min(file.size, MAXIMUM_FILE_BYTES))
            if content is not None:
                return content
        raise CorruptionError(f"version {manifest.number} of {self.model} lacks its {what}: there is no {key}")

    def _places(self, key: str) -> Iterator[str]:
        """Where a file is to be looked for, each looked up only when it has been in none before.

        Where a pruning has just removed it, a copy is aside; before that is removed, the file is back at its place, and
        from there another pruning may remove it.
        """
        yield key
        folder, name = f"{self.model}/{ASIDE}", key.rpartition("/")[2]
        for _ in range(_LOOKS_ASIDE):
            copies = [copy for copy in self.storage.list_after(folder) if copy.partition("-")[2] == name]
            yield from (f"{folder}/{copy}" for copy in copies)
            yield key
            if not copies:
                return

    def _get(self, name: str, maximum_bytes: int) -> bytes | None:
        try:
            return self.storage.get(name, maximum_bytes)
        except OversizedError as error:
            raise CorruptionError(str(error)) from error

    def _last(self, prefix: str, known: int = 0) -> int:
        """The highest number, 0 where there is none: doubling steps, then halving, since numbers have no gaps.

        A few dozen looks whatever the size of the registry, where a list would grow with it; then a list of what comes
        after, which is nothing. If numbers are missing after all, no version takes a number below the highest.
        """
        step = 1
        while self._exists(prefix, known + step):
            step *= 2
        last, too_high = known + step // 2, known + step
        while too_high - last > 1:
            middle = (last + too_high) // 2
            last, too_high = (middle, too_high) if self._exists(prefix, middle) else (last, middle)
        return max(self._later(prefix, last), default=last)

    def _later(self, prefix: str, last: int) -> list[int]:
        """The numbers after one that seems to be the last. A log with a hole in it is refused: its end is not known."""
        later = self._listed(prefix, last)
        if later and prefix == "log" and not self._exists(prefix, last + 1):
            missing = f"{self.model}/{_key(prefix, last + 1)}"
            raise CorruptionError(f"{missing} is missing, and there are later ones: restore it before anything else")
        return later

    def _exists(self, prefix: str, number: int) -> bool:
        try:
            return self.storage.get(f"{self.model}/{_key(prefix, number)}", MAXIMUM_FILE_BYTES) is not None
        except OversizedError:
            return True

    def _numbers(self, prefix: str) -> list[int]:
        """All numbers: a directory that is listed while files are added may show a later one without an earlier one.

        The earlier one was there first, so a second list has it.
        """
        last = max(self._listed(prefix), default=0)
        return [number for number in self._listed(prefix) if number <= last]

    def _listed(self, prefix: str, after: int = 0) -> list[int]:
        names = self.storage.list_after(f"{self.model}/{prefix}", f"{after:010}.json")
        return [int(match[1]) for name in names if (match := _NUMBERED.fullmatch(name))]

    def read_manifest(self, number: int) -> tuple[Manifest, str]:
        """A version's manifest and the sha256 of its file."""
        name, content = f"{self.model}/{_key('versions', number)}", self._manifest_bytes(number)
        manifest = decode(Manifest, content, name)
        if (manifest.model, manifest.number) != (self.model, number):
            raise CorruptionError(f"{name} says that it is version {manifest.number} of {manifest.model}")
        return manifest, sha256(content).hexdigest()

    def manifest_sha256(self, number: int) -> str | None:
        """Of the file as it is, whatever it holds, None of one that is missing or too large.

        A version whose manifest cannot be read can still be deleted.
        """
        try:
            return sha256(self._manifest_bytes(number)).hexdigest()
        except CorruptionError:
            return None

    def _manifest_bytes(self, number: int) -> bytes:
        content = self._get(f"{self.model}/{_key('versions', number)}", MAXIMUM_MANIFEST_BYTES)
        if content is None:
            newest = self.newest_number()
            if number < newest:
                raise CorruptionError(f"version {number} of model {self.model} is missing, and there are later ones")
            known = f"the newest is {newest}" if newest else "there is none yet"
            raise NotFoundError(f"model {self.model} has no version {number}; {known}")
        return content

    def read_record(self, number: int) -> Head | None:
        """The log as it was when this record was its last, None where there is no such record yet."""
        name = f"{self.model}/{_key('log', number)}"
        content = self._get(name, MAXIMUM_RECORD_BYTES)
        if content is None:
            return None
        record = decode(Record, content, name)
        if (record.model, record.number) != (self.model, number):
            raise CorruptionError(f"{name} says that it is record {record.number} of {record.model}")
        return Head(record, sha256(content).hexdigest())


ASIDE = "aside"
"""Where a pruning keeps a copy, <unique name>-<name of the file>, of what it removes, until it knows who needs it."""
_LOOKS_ASIDE = 3
_LAST_NUMBER = 10**10 - 1
_NUMBERED = re.compile(r"([0-9]{10})\.json")


def whoami() -> str:
    """Who is at work, as the registry records it: the user and the machine."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        user = f"uid {os.getuid()}"
    return f"{user}@{platform.node()}"


def _key(prefix: str, number: int) -> str:
    return f"{prefix}/{number:010}.json"


def _named(prefix: str, ending: str, content: bytes, what: str) -> tuple[File, bytes]:
    """A file with a new key, and its content."""
    _checked(content, MAXIMUM_FILE_BYTES, what)
    key = f"{prefix}/{unique_name()}.{ending}"
    return File(key=key, sha256=sha256(content).hexdigest(), size=len(content)), content


def _checked(content: bytes, maximum_bytes: int, what: str) -> bytes:
    """What readers would refuse is not written in the first place: a log cannot be taken back."""
    if len(content) > maximum_bytes:
        raise RefusedError(f"the {what} would have {len(content):,} bytes, and {maximum_bytes:,} are allowed")
    return content


def _text(given: str) -> str:
    """What a terminal gives may not be Unicode; what cannot be written is shown as a question mark."""
    return given.encode("utf-8", "replace").decode()


def _now() -> datetime:
    return datetime.now(UTC)
