"""Four writers and two readers on one registry, the writers killed again and again: at any moment, and at every step.

    python registry_storm.py '{"location": …}'      the fields of Storm; the outcome is one JSON document

One process imports everything once and forks each writer, so that a kill costs milliseconds and not the start of an
interpreter. It never touches the storage itself: what runs below obstore does not outlive a fork.

SIGKILL ends a process, not the machine: what an fsync is for cannot be shown so, only that the order around it holds.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import time
import traceback
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

import obstore  # noqa: F401 - imported here once, not by every writer
from integration import broken_protocols
from integration.registry_worker import another

from model.errors import CorruptionError, ExpectationError, NotFoundError, RefusedError, StorageError
from model.registry import object_storage, pruning  # noqa: F401 - as above
from model.registry.log import Expect, Head
from model.registry.registry import MAXIMUM_RECORD_BYTES, Registry
from model.registry.storage import Storage, open_storage

if TYPE_CHECKING:
    from collections.abc import Callable

PUT_STEPS = tuple(
    f"{when} {kind} put" for kind in ("artifact", "report", "manifest", "record") for when in ("before", "after")
)
LOCAL_STEPS = (
    "before the temporary file is written",
    "before its fsync",
    "before the link",
    "before the unlink",
    "before a directory's fsync",
    "after a directory's fsync",
)
PRUNING_STEPS = ("before a copy is put aside", "after a copy is put aside", "before a removal", "after a removal")
_WRITERS, _READERS = 4, 2
_KINDS = {"artifacts": "artifact", "reports": "report", "versions": "manifest", "log": "record"}
_GRACE, _NEWEST_KEPT = timedelta(seconds=0.2), 10
"""So short that publishers meet prunings: a publication takes some milliseconds, and more where it is tried again."""


@dataclass(frozen=True)
class Storm:
    """What is to happen."""

    location: str
    folder: str
    """Where the processes write what they did and saw."""
    kills: int
    seed: int
    life_seconds: float = 0.03
    """How long a writer lives that dies at a random moment, on average."""
    seconds: float = 300.0
    """Past this the storm ends with as many kills as there were."""
    protocol: str = "sound"
    """Or the name of a deliberate break."""

    @property
    def steps(self) -> tuple[str, ...]:
        return PUT_STEPS + PRUNING_STEPS + (() if "://" in self.location else LOCAL_STEPS)

    def registry(self, wrap: Callable[[Storage], Storage] = lambda storage: storage) -> Registry:
        storage_class, registry_class = broken_protocols.ALL.get(self.protocol, (None, Registry))
        storage = storage_class(Path(self.location)) if storage_class else open_storage(self.location)
        return registry_class(wrap(storage), "gender")


@dataclass
class Outcome:
    """What happened."""

    kills: dict[str, int]
    failures: list[str] = field(default_factory=list)


# What dies


class Fate:
    """Ends this process, as `kill -9` does, when it comes to a step for the n-th time."""

    def __init__(self, step: str | None, times: int) -> None:
        self.step, self.left = step, times

    def reached(self, step: str) -> None:
        if step == self.step:
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def wrap(self, storage: Storage) -> Storage:
        return FatedStorage(storage, self)

    def haunt_the_disk(self) -> None:
        """The steps of a local put, found where they call the operating system."""
        fsync, link, unlink, fchmod = os.fsync, os.link, Path.unlink, os.fchmod

        def fated_fchmod(descriptor: int, mode: int) -> None:
            fchmod(descriptor, mode)
            self.reached("before the temporary file is written")

        def fated_fsync(descriptor: int) -> None:
            directory = os.path.isdir(f"/proc/self/fd/{descriptor}")  # noqa: PTH112 - a link to follow, no path of ours
            self.reached("before a directory's fsync" if directory else "before its fsync")
            fsync(descriptor)
            self.reached("after a directory's fsync" if directory else "")

        def fated_link(source: Path, target: Path) -> None:
            self.reached("before the link")
            link(source, target)

        def fated_unlink(path: Path, *, missing_ok: bool = False) -> None:
            self.reached("before the unlink")
            unlink(path, missing_ok=missing_ok)

        os.fchmod, os.fsync, os.link = fated_fchmod, fated_fsync, fated_link  # type: ignore[assignment]
        Path.unlink = fated_unlink  # type: ignore[method-assign]


class FatedStorage:
    """Says to fate which put of the protocol comes, and which is done."""

    def __init__(self, storage: Storage, fate: Fate) -> None:
        self.storage, self.fate = storage, fate
        self.get, self.list_after = storage.get, storage.list_after

    def put_if_absent(self, key: str, content: bytes) -> bool:
        kind = _KINDS.get(key.split("/")[1])
        step = f"{kind} put" if kind else "a copy is put aside"
        self.fate.reached(f"before {step}")
        done = self.storage.put_if_absent(key, content)
        self.fate.reached(f"after {step}")
        return done

    def delete(self, key: str) -> None:
        self.fate.reached("before a removal")
        self.storage.delete(key)
        self.fate.reached("after a removal")


def write(storm: Storm, name: str, fate: Fate, acknowledge: Callable[..., None]) -> None:
    """Publish, move aliases, delete and prune for as long as life lasts. A storage that fails is tried again."""
    if "://" not in storm.location:
        fate.haunt_the_disk()
    registry = storm.registry(fate.wrap)
    chance = random.Random(name)
    prunes = fate.step in PRUNING_STEPS  # whoever is to die so comes to it, and sooner
    draft = None
    while True:
        with suppress(StorageError, ExpectationError, RefusedError, NotFoundError):
            draft = draft or registry.manifest(1)
            made = another(draft, *name.encode(), chance.randrange(1 << 30))
            report = chance.choice([None, f"<p>By {name}, {chance.random()}".encode()])
            manifest = registry.publish(*made, by=name, report=report).manifest
            acknowledge(kind="published", number=manifest.number, transaction=manifest.transaction, by=name)
            champion = registry.head().champion
            expect = chance.choice([None, champion or "none"])
            if chance.random() < 0.3:
                head = _roll_back(registry, name, expect)
            elif chance.random() < 0.2:
                head = registry.set_alias(manifest.number, "challenger", by=name, expect=expect)
            else:
                head = registry.promote(manifest.number, by=name, expect=expect)
            assert head.record is not None
            acknowledge(
                kind="moved", number=head.number, transaction=head.record.transaction, sha256=head.sha256, by=name
            )
            if (prunes or chance.random() < 0.5) and manifest.number > _NEWEST_KEPT:
                head = registry.delete(chance.randint(1, manifest.number - _NEWEST_KEPT), by=name)
                acknowledge(kind="deleted", number=head.number, sha256=head.sha256, by=name)
            if prunes or chance.random() < 0.5:
                acknowledge(pruned=[removal.key for removal in pruning.prune(registry, _GRACE)])


def _roll_back(registry: Registry, name: str, expect: Expect) -> Head:
    """Whoever is slow finds that the previous champion was replaced, deleted and pruned: as good as an expectation."""
    try:
        return registry.rollback(by=name, expect=expect)
    except CorruptionError as error:
        raise _unless_deleted(registry, error) from error


def _unless_deleted(registry: Registry, error: CorruptionError) -> Exception:
    """NotFoundError in place of the error where the version it speaks of has been deleted by now."""
    found = re.match(r"version ([0-9]+) ", str(error))
    return NotFoundError(str(error)) if found and registry.head().is_deleted(int(found[1])) else error


class Reader:
    """Follows the log like a service does, and looks at old files again."""

    def __init__(self, storm: Storm, name: str, say: Callable[..., None]) -> None:
        self.registry, self.chance, self.say = storm.registry(), random.Random(name), say
        self.head, self.looks = Head(), 0
        self.seen: dict[str, str] = {}

    def look(self) -> None:
        later = self.registry.after(self.head) if self.looks else self.registry.head()
        if later.number < self.head.number:
            self.say(failure=f"the log went back from {self.head.number} to {later.number}")
        if later.champion is not None:
            try:
                version = self.registry.load(later.champion)
            except CorruptionError as error:
                raise _unless_deleted(self.registry, error) from error
            if later != self.head:
                self.see(f"versions/{later.champion:010}.json")
                for file in version.manifest.files.all:
                    self.see(file.key)
                self.see(f"log/{later.number:010}.json")
        if self.seen:
            self.see(self.chance.choice(list(self.seen)))
        self.head, self.looks = later, self.looks + 1

    def see(self, key: str) -> None:
        content = self.registry.storage.get(f"gender/{key}", MAXIMUM_RECORD_BYTES)
        if content is None and key.startswith(("artifacts/", "reports/")):
            self.seen.pop(key, None)  # pruned; the audit says whether it may be
            return
        found = sha256(content or b"").hexdigest()
        if self.seen.setdefault(key, found) != found:
            self.say(failure=f"the bytes of {key} changed while it was read again")


def read(storm: Storm, name: str, say: Callable[..., None]) -> None:
    """Read until SIGTERM, and say then what was seen."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    reader = Reader(storm, name, say)
    while not stopping or reader.looks == 0:
        try:
            reader.look()
        except (StorageError, NotFoundError):
            continue  # a faulty store, or a champion of long ago: the service tries again too
        except CorruptionError as error:
            if not isinstance(error.__cause__, StorageError):
                say(failure=f"a reader could not load the champion: {error}")
                break
    say(looks=reader.looks, seen=reader.seen)


# Who kills


@dataclass
class Life:
    """One writer, forked, and when it must die if it does not by itself."""

    pid: int
    step: str | None
    deadline: float


def run(storm: Storm) -> Outcome:
    """The storm, until there were so many kills or something failed that must not."""
    chance, folder = random.Random(storm.seed), Path(storm.folder)
    kills: Counter[str] = Counter()
    plan = _plan(storm, chance)
    readers = [
        _fork(folder / f"reader-{name}", lambda say, name=name: read(storm, str(name), say)) for name in range(_READERS)
    ]
    lives: dict[int, Life] = {}
    born, end = 0, time.monotonic() + storm.seconds
    while kills.total() < storm.kills and time.monotonic() < end and not _failures(folder):
        while len(lives) < _WRITERS:
            step, times, seconds = next(plan)
            born += 1
            name, fate = f"writer-{storm.seed}-{born}", Fate(step, times)
            pid = _fork(
                folder / f"acknowledged-{born % 64}", lambda say, name=name, fate=fate: write(storm, name, fate, say)
            )
            lives[pid] = Life(pid, step, time.monotonic() + seconds)
        for life in [life for life in lives.values() if life.deadline <= time.monotonic()]:
            os.kill(life.pid, signal.SIGKILL)
            life.deadline, life.step = float("inf"), None
        pid, status = os.waitpid(-1, os.WNOHANG)
        if pid in lives:
            life = lives.pop(pid)
            if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
                kills[life.step or "at a random moment"] += 1
        elif pid == 0:
            time.sleep(0.0005)  # nobody has died: the next look
    for pid in lives:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        kills["at a random moment"] += 1
    for pid in readers:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGTERM)
            os.waitpid(pid, 0)
    return Outcome(dict(kills), _failures(folder))


def _plan(storm: Storm, chance: random.Random) -> Any:
    """Step by step in turn, each the first to the third time it comes, and a random moment between two steps."""
    while True:
        for step in chance.sample(storm.steps, len(storm.steps)):
            yield step, chance.randint(1, 3), 40 * storm.life_seconds + 1.0
            yield None, 0, chance.expovariate(1 / storm.life_seconds)


def _fork(file: Path, work: Callable[[Callable[..., None]], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def say(**said: Any) -> None:
        os.write(descriptor, json.dumps(said).encode() + b"\n")  # in one piece, or not at all

    try:
        work(say)
    except BaseException:  # noqa: BLE001 - whatever it is, it must be heard
        (file.parent / f"failure-{os.getpid()}").write_text(traceback.format_exc())
    os._exit(0)


def _failures(folder: Path) -> list[str]:
    return [path.read_text() for path in folder.glob("failure-*")]


if __name__ == "__main__":
    json.dump(asdict(run(Storm(**json.loads(sys.argv[1])))), sys.stdout)
