"""A container engine, and this project on it: what tests/containers starts, and what `docker compose` then does.

The tests work in a copy of the two things that a user has beside the image, `docker-compose.yml` and `data/`, under a
project name, an image tag and a port of their own, so that nothing of the machine's user is touched.
"""

import http.client
import json
import os
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from end_to_end.running_service import free_port

ROOT = Path(__file__).parents[2]
SCRIPTS = ROOT / "tests" / "containers"


class NoEngineError(Exception):
    """No container engine answers, and none can be started here."""


@contextmanager
def container_engine(*images: str) -> Iterator[dict[str, str]]:
    """The environment in which `docker` reaches an engine that has the images; one that was started for it is ended."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMPOSE_")}
    # Bake is a plugin of its own, which an engine from Debian has not.
    environment |= {"COMPOSE_BAKE": "false", "COMPOSE_ANSI": "never", "COMPOSE_PROGRESS": "plain"}
    lines = script_output(environment, "engine.sh", "start").splitlines()
    engine = dict(line.split("=", 1) for line in lines)
    try:
        environment |= engine
        for image in images:
            print(script_output(environment, "base_image.sh", image))  # pulled, or a stand-in
        yield environment
    finally:
        if "ENGINE_PID" in engine:
            script_output(environment, "engine.sh", "stop")


def script_output(environment: Mapping[str, str], script: str, *arguments: str) -> str:
    outcome = subprocess.run(
        [SCRIPTS / script, *arguments], env=environment, capture_output=True, text=True, timeout=600, check=False
    )
    if outcome.returncode != 0:
        said = outcome.stderr.strip().splitlines() or [f"{script} failed"]
        raise NoEngineError(said[-1])
    return outcome.stdout


@dataclass(frozen=True)
class Project:
    """One Compose project: its containers, its network and its registry volume."""

    folder: Path
    environment: dict[str, str]
    port: int
    """Where the service is published."""
    proxy_port: int

    @classmethod
    def create(cls, folder: Path, environment: Mapping[str, str], image: str) -> "Project":
        folder.joinpath("data").mkdir(parents=True)
        for name in ("docker-compose.yml", "deploy/proxy/nginx.conf"):
            folder.joinpath(name).parent.mkdir(parents=True, exist_ok=True)
            folder.joinpath(name).write_bytes(ROOT.joinpath(name).read_bytes())
        port, proxy_port = free_port(), free_port()
        own = {
            "COMPOSE_PROJECT_NAME": f"stature-test-{uuid.uuid4().hex[:12]}",
            "STATURE_IMAGE": image,
            "STATURE_PUBLISHED_PORT": str(port),
            "STATURE_PROXY_PORT": str(proxy_port),
        }
        return cls(folder, {**environment, **own}, port, proxy_port)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )

    def docker(self, *arguments: str) -> str:
        """What a command printed, which has to succeed."""
        outcome = self.run("docker", *arguments)
        assert outcome.returncode == 0, f"docker {' '.join(arguments)}\n{outcome.stdout}{outcome.stderr}"
        return outcome.stdout

    def compose(self, *arguments: str) -> str:
        return self.docker("compose", *arguments)

    def up(self, *options: str) -> None:
        self.compose("up", "--detach", "--wait", "--wait-timeout", "120", *options)

    def container(self, service: str) -> dict:
        """What the engine knows of a service's container: its state, exit code and health."""
        (identifier,) = self.compose("ps", "--all", "--quiet", service).split()
        (container,) = json.loads(self.docker("inspect", identifier))
        return container

    def inside(self, *command: str) -> str:
        """What a command in the service's container says, whether it succeeds or not."""
        outcome = self.run("docker", "compose", "exec", "-T", "service", *command)
        return outcome.stdout + outcome.stderr

    def request(self, path: str, body: object = None) -> tuple[int, dict]:
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", content, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    def is_ready(self) -> bool:
        """Whether the service is reached and has a model in memory."""
        try:
            return self.request("/readyz")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def crash(self, container: str) -> None:
        """`kill -9` for its first process, from outside: the engine is not told, and takes it for a crash."""
        process = int(self.docker("inspect", "--format", "{{.State.Pid}}", container))
        os.kill(process, signal.SIGKILL)

    def remove(self) -> None:
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "5")


def eventually(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition comes true before the time is over."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
