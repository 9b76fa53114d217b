"""What the registry costs as it grows: publish, promote, list, poll, and loading the champion, on disk and on S3.

    python benchmarks/registry.py [--write] [VERSIONS …]

Prints a section in Markdown, which --write puts into docs/benchmarks.md: the median of each, in milliseconds, for
registries of 10, 1,000 and 10,000 versions and as many log records. "Poll" is a service's look for news, "load the
champion" what it does when there are some, and "find the end of the log" what it does once, at its start: the number of
looks grows with the logarithm of the log. The object store is moto's S3 server.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import statistics
import sys
import tempfile
import time
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from page import write_section
from stores.moto_s3 import moto_s3

from model.registry.log import Operation, Record, State
from model.registry.manifest import Draft, encode
from model.registry.registry import Registry
from model.registry.storage import LocalStorage, Storage, open_storage
from model.training import job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REPETITIONS = 15


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("sizes", nargs="*", type=int, metavar="VERSIONS", default=[10, 1_000, 10_000])
    parser.add_argument("--write", action="store_true", help="put the section into docs/benchmarks.md")
    asked = parser.parse_args()
    text = "\n".join(section(asked.sizes))
    print(text)
    if asked.write:
        write_section("registry", text)


def section(sizes: list[int]) -> Iterator[str]:
    yield "## The registry as it grows\n\n`python benchmarks/registry.py`\n"
    yield f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}. Median milliseconds of"
    yield f"{REPETITIONS}. The S3 server is moto, on loopback, in a process of its own that answers one request at a"
    yield "time: its figures show how often a store is asked, and not how fast a cloud is.\n"
    yield (
        "| storage | versions | publish | promote | list the newest 50 | poll | load the champion "
        "| find the end of the log |"
    )
    yield "|---|---|---|---|---|---|---|---|"
    for name, opened in (("disk", local()), ("S3", s3())):
        with opened as storage:
            grown = 0
            for size in sizes:
                registry = Registry(storage, "gender")
                grown = grow(registry, grown, size)
                figures = measure(registry)
                yield f"| {name} | {size:,} | {' | '.join(f'{figure:.2f}' for figure in figures)} |"


@contextlib.contextmanager
def local() -> Iterator[Storage]:
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        yield LocalStorage(Path(folder))


@contextlib.contextmanager
def s3() -> Iterator[Storage]:
    with tempfile.TemporaryDirectory() as folder, moto_s3(Path(folder)) as store:
        os.environ |= store.environment
        yield open_storage(f"{store.root}/benchmark")


def grow(registry: Registry, grown: int, size: int) -> int:
    """A registry of so many versions and records: the first is trained, the others are copies of it, chained."""
    if not grown:
        job.run(job.Settings(), registry, by="a benchmark")
        grown = 1
    manifest, manifest_sha256 = registry.read_manifest(1)
    head = registry.head()
    for number in range(max(registry.numbers()) + 1, size + 1):
        copy = manifest.model_copy(update={"number": number, "transaction": f"{number:032x}"})
        registry.storage.put_if_absent(f"gender/versions/{number:010}.json", encode(copy))
    previous_sha256 = head.sha256
    for number in range(head.number + 1, size + 1):
        record = Record(
            model="gender",
            number=number,
            transaction=f"{number + (1 << 64):032x}",
            at=head.record.at if head.record else manifest.created_at,
            by="a benchmark",
            reason="",
            operation=Operation(name="judge", version=1),
            manifest_sha256=manifest_sha256,
            previous_sha256=previous_sha256,
            state=State(aliases={"champion": 1}),
        )
        content = encode(record)
        registry.storage.put_if_absent(f"gender/log/{number:010}.json", content)
        previous_sha256 = sha256(content).hexdigest()
    return size


def measure(registry: Registry) -> list[float]:
    version = registry.load(1)
    draft = Draft(**{name: getattr(version.manifest, name) for name in Draft.model_fields})
    published = [registry.publish(draft, version.predictor, "a benchmark").manifest.number for _ in range(2)]

    def promote() -> None:
        registry.promote(published[registry.head().champion == published[0]], by="a benchmark")

    publishing = median_milliseconds(lambda: registry.publish(draft, version.predictor, "a benchmark"))
    promoting = median_milliseconds(promote)
    head = registry.head()
    return [
        publishing,
        promoting,
        median_milliseconds(lambda: registry.newest(50, head)),
        median_milliseconds(lambda: registry.after(head)),
        median_milliseconds(lambda: registry.load(head.champion or 1)),
        median_milliseconds(registry.head),
    ]


def median_milliseconds(action: Callable[[], object]) -> float:
    durations = []
    for _ in range(REPETITIONS):
        start = time.perf_counter()
        action()
        durations.append(1000.0 * (time.perf_counter() - start))
    return statistics.median(durations)


if __name__ == "__main__":
    main()
