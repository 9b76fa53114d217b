"""One round: each server is started, checked, put under load, checked again, weighed and ended, one after the other."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.serving.company import promotions
from benchmarks.serving.failure import FailureError
from benchmarks.serving.load import put_load
from benchmarks.serving.peers.network import Network
from benchmarks.serving.processes import free_port, running
from benchmarks.serving.questions import MEASURED, check, hello, some_people

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import AbstractContextManager

    from benchmarks.serving.environments import Installed
    from benchmarks.serving.load import Load
    from benchmarks.serving.processes import Running
    from benchmarks.serving.questions import Form
    from benchmarks.serving.results import Results
    from benchmarks.serving.servers import Server

PEERS = Path(__file__).with_name("peers")
LOAD_CORE, SERVER_CORE, BOTH_CORES = "0", "1", "0,1"
CONNECTIONS = 16
ROWS = 10_000
_ROWS_CONNECTIONS = 4
_PEOPLE_CHECKED = 50


@dataclass(frozen=True)
class Bench:
    """Where the servers find what they serve, and how long each is put under load."""

    folder: Path
    network: Network
    installed: Mapping[str, Installed]
    seconds: int

    @classmethod
    def prepare(cls, folder: Path, installed: Mapping[str, Installed], seconds: int) -> Bench:
        """Train with Stature, on the data that it ships, into a new registry in this folder; export the network."""
        stature = str(installed["stature"].programs / "stature")
        place = ["--registry", str(folder / "registry")]
        _run([stature, "train", *place])
        _run([stature, "export", "champion", "--to", "json", "--output", str(folder / "network.json"), *place])
        return cls(folder, Network(json.loads((folder / "network.json").read_bytes())), installed, seconds)

    def make_ready(self, server: Server) -> None:
        """What a server needs before its first start. FailureError where it cannot be had."""
        if server.environment and server.environment not in self.installed:
            raise FailureError(f"{server.environment} is not installed")
        if server.preparation:
            _run(self._filled(server, server.preparation.split()), self._environment(server))

    def measure(self, name: str, server: Server, results: Results) -> None:
        """Its row of the table. FailureError where it cannot be measured."""
        with self._start(server, SERVER_CORE) as service:
            body = server.form.body([MEASURED])
            ask = partial(put_load, service.port, server.form.path, body, cores=LOAD_CORE, close=server.close)
            self._check(service, server)
            ask(connections=CONNECTIONS, seconds=1)
            before = service.processor_seconds()
            many = ask(connections=CONNECTIONS, seconds=self.seconds)
            computed = service.processor_seconds() - before
            one = ask(connections=1, seconds=max(1, self.seconds // 2))
            self._check(service, server)
            results.add(
                name,
                requests_per_second=many.requests_per_second,
                processor_microseconds=1e6 * computed / many.requests,
                p50_milliseconds=many.p50_milliseconds,
                p99_milliseconds=many.p99_milliseconds,
                alone_milliseconds=one.p50_milliseconds,
                memory_mib=service.memory_mib(),
                start_seconds=service.start_seconds,
            )

    def measure_rows(self, name: str, server: Server, results: Results) -> None:
        """Rows a second where a request brings 10,000 of them."""
        people = some_people(ROWS)
        with self._start(server, SERVER_CORE) as service:
            for kind, form in server.many.items():
                check(service.port, form, people, self.network)
                body = form.body(people)
                load = put_load(
                    service.port,
                    form.path,
                    body,
                    connections=_ROWS_CONNECTIONS,
                    seconds=max(1, self.seconds // 2),
                    cores=LOAD_CORE,
                )
                check(service.port, form, people, self.network)
                results.add(name, **{f"{kind}_rows_per_second": load.requests_per_second * ROWS})

    def measure_scaling(self, name: str, server: Server, results: Results) -> None:
        """One worker and the load together on one core, then two workers and twice the load together on two."""
        for workers, cores in ((1, SERVER_CORE), (2, BOTH_CORES)):
            with self._start(server, cores, workers) as service:
                body = server.form.body([MEASURED])
                connections = CONNECTIONS * workers
                ask = partial(put_load, service.port, server.form.path, body, connections=connections, cores=cores)
                ask(seconds=1)
                load = ask(seconds=self.seconds)
                self._check(service, server)
                results.add(
                    name,
                    **{
                        f"requests_per_second_with_{workers}": load.requests_per_second,
                        f"memory_mib_with_{workers}": service.memory_mib(),
                    },
                )

    def measure_company(self, name: str, server: Server, results: Results) -> None:
        """How long a caller of single predictions waits: alone, beside a caller of large batches, beside promotions."""
        batch = server.many["batch"]
        with self._start(server, SERVER_CORE) as service:
            ask = partial(put_load, service.port, connections=1, seconds=self.seconds, cores=LOAD_CORE)
            one = partial(ask, server.form.path, server.form.body([MEASURED]))
            _add_wait(results, name, "alone", one())
            with ThreadPoolExecutor() as pool:
                many = pool.submit(ask, batch.path, batch.body(some_people(ROWS)))
                _add_wait(results, name, "batches", one())
                many.result()
        registry = self.folder / "promotions"
        shutil.copytree(self.folder / "registry", registry)
        stature = str(self.installed["stature"].programs / "stature")
        _run([stature, "train", "--hidden", "3", "--promote", "never", "--registry", str(registry)])
        following = replace(
            server,
            command=server.command.replace("{folder}/registry", "{folder}/promotions"),
            settings={**server.settings, "STATURE_POLL_SECONDS": "0.01"},
        )
        with self._start(following, SERVER_CORE) as service, promotions(registry) as made:
            ask = partial(put_load, service.port, connections=1, seconds=self.seconds, cores=LOAD_CORE)
            _add_wait(results, name, "promotions", ask(server.form.path, server.form.body([MEASURED])))
            results.add(name, promotions_per_second=made() / self.seconds)
        shutil.rmtree(registry)

    def _start(self, server: Server, cores: str, workers: int = 1) -> AbstractContextManager[Running]:
        ports = {"port": free_port(), "port_2": free_port(), "port_3": free_port()}
        environment = self._environment(server, workers=workers, **ports)
        command = self._filled(server, server.command.split(), workers=workers, **ports)
        if server.environment is None:
            conf = (PEERS / "nginx.conf").read_text()
            for word, filling in (("PORT", ports["port"]), ("HELLO", hello(self.network)), ("PID", "nginx.pid")):
                conf = conf.replace(word, str(filling))
            (self.folder / "nginx.conf").write_text(conf)
        log = self.folder / "server.log"
        return running(
            command,
            environment,
            ports["port"],
            cores=cores,
            log=log,
            check=lambda: self._ask(ports["port"], server.form, [MEASURED]),
        )

    def _check(self, service: Running, server: Server) -> None:
        """Right for others too; what always says the same is right for the measured person."""
        people = [MEASURED] if server.constant else [MEASURED, *some_people(_PEOPLE_CHECKED)]
        self._ask(service.port, server.form, people)

    def _ask(self, port: int, form: Form, people: Sequence[tuple[float, float]]) -> None:
        check(port, form, people, self.network)

    def _filled(self, server: Server, texts: Sequence[str], **more: object) -> list[str]:
        programs = self.installed[server.environment].programs if server.environment else ""
        return [text.format(bin=programs, peers=PEERS, folder=self.folder, **more) for text in texts]

    def _environment(self, server: Server, **more: object) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("STATURE_")}
        programs = str(self.installed[server.environment].programs) if server.environment else ""
        settings = dict(zip(server.settings, self._filled(server, list(server.settings.values()), **more), strict=True))
        return inherited | {
            "PATH": f"{programs}:{inherited['PATH']}" if programs else inherited["PATH"],
            "PYTHONPATH": str(PEERS),
            "BENCHMARK_NETWORK": str(self.folder / "network.json"),
            "BENCHMARK_HELLO": hello(self.network),
            **settings,
        }


def _add_wait(results: Results, name: str, company: str, load: Load) -> None:
    results.add(
        name,
        **{
            f"p50_{company}": load.p50_milliseconds,
            f"p99_{company}": load.p99_milliseconds,
            f"p999_{company}": load.p999_milliseconds,
        },
    )


def _run(command: list[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)  # noqa: S603
    if done.returncode:
        raise FailureError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-200:]}")
