"""The table of all that is measured: each server with its own recommended settings, one worker, on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from benchmarks.serving.questions import (
    BATCH,
    COLUMNS,
    DATA_FRAME,
    PERSON,
    PROBABILITIES_OF_BOTH,
    RECORDS,
    TENSORS,
    Form,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Server:
    """One row. What is in braces in commands and settings is filled in when it starts: folders, ports, workers."""

    title: str
    command: str
    environment: str | None = None
    """The virtual environment; None for what Debian gives."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment variables."""
    form: Form = PERSON
    many: Mapping[str, Form] = field(default_factory=dict)
    """How many people are asked for at once: in columns, and one by one."""
    constant: bool = False
    """Answers the same to all and computes nothing: a limit, no peer."""
    close: bool = False
    """Each request on a connection of its own."""
    preparation: str = ""
    """Run once before the first start."""


_STATURE = "{bin}/stature serve --registry {folder}/registry --port {port} --workers {workers}"
_UVICORN = "{bin}/uvicorn --port {port}"
_UVICORN_TUNED = f"{_UVICORN} --loop uvloop --http httptools --no-access-log"
_GUNICORN = "{bin}/gunicorn --bind 127.0.0.1:{port} --worker-class"
_BOTH = {"columns": COLUMNS, "batch": BATCH}


def _mlflow(title: str, model: str, form: Form) -> Server:
    saved = f"{{folder}}/{model}"
    return Server(
        title,
        f"{{bin}}/mlflow models serve --model-uri {saved} --env-manager local"
        " --workers 1 --host 127.0.0.1 --port {port}",
        "mlflow",
        {"MLFLOW_DISABLE_TELEMETRY": "true"},
        form,
        preparation=f"{{bin}}/python {{peers}}/{model}.py {saved}",
    )


SERVERS: Mapping[str, Server] = {
    "nginx": Server("nginx, a static 200", "nginx -p {folder} -c {folder}/nginx.conf", constant=True),
    "hello-uvicorn": Server(
        "uvicorn (uvloop, httptools), bare hello", f"{_UVICORN_TUNED} hello_asgi:app", "servers", constant=True
    ),
    "hello-uvicorn-worker": Server(
        "gunicorn with uvicorn-worker (uvloop, httptools), bare hello",
        f"{_GUNICORN} uvicorn_worker.UvicornWorker hello_asgi:app",
        "servers",
        constant=True,
    ),
    "hello-asgi": Server(
        "gunicorn's asgi worker (uvloop, C parser), bare hello",
        f"{_GUNICORN} asgi hello_asgi:app",
        "servers",
        constant=True,
    ),
    "hello-gthread": Server(
        "gunicorn gthread, bare WSGI hello",
        f"{_GUNICORN} gthread --threads 8 hello_wsgi:app",
        "servers",
        constant=True,
    ),
    "stature": Server("**Stature**", _STATURE, "stature", many=_BOTH),
    "stature-close": Server("Stature, `Connection: close`", _STATURE, "stature", close=True),
    "stature-flask": Server("Stature, `STATURE_LANE=flask`", _STATURE, "stature", {"STATURE_LANE": "flask"}),
    "fastapi-tuned": Server(
        "FastAPI + uvicorn, tuned",
        f"{_UVICORN_TUNED} --no-server-header --no-date-header fastapi_tuned:app",
        "fastapi",
    ),
    "fastapi": Server("FastAPI + uvicorn as everyone writes it", f"{_UVICORN} fastapi_app:app", "fastapi", many=_BOTH),
    "flask": Server(
        "Flask + gunicorn gthread as everyone writes it", f"{_GUNICORN} gthread --threads 8 flask_app:app", "flask"
    ),
    "mlserver": Server(
        "MLServer",
        "{bin}/mlserver start {peers}/mlserver_repository",
        "mlserver",
        {
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": "{port}",
            "MLSERVER_GRPC_PORT": "{port_2}",
            "MLSERVER_METRICS_PORT": "{port_3}",
            "MLSERVER_PARALLEL_WORKERS": "0",  # one core: it computes in the process that answers
            "MLSERVER_DEBUG": "false",
        },
        TENSORS,
        {"columns": TENSORS},
    ),
    "litserve": Server("LitServe", "{bin}/python {peers}/litserve_server.py {port}", "litserve"),
    "vetiver": Server("vetiver", f"{_UVICORN} vetiver_app:app", "vetiver", form=RECORDS),
    "vetiver-numpy": Server(
        "vetiver, a handler of numpy alone", f"{_UVICORN} vetiver_numpy_app:app", "vetiver", form=RECORDS
    ),
    "bentoml": Server(
        "BentoML",
        "{bin}/bentoml serve bentoml_service:Gender --host 127.0.0.1 --port {port}",
        "bentoml",
        {"BENTOML_HOME": "{folder}/bentoml", "BENTOML_DO_NOT_TRACK": "True"},
    ),
    "mlflow": _mlflow("MLflow", "mlflow_model", PROBABILITIES_OF_BOTH),
    "mlflow-numpy": _mlflow("MLflow, a function of numpy alone", "mlflow_numpy_model", DATA_FRAME),
}
