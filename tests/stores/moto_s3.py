"""An S3 server in a process of its own: moto.

    python moto_s3.py PORT_FILE HOST      serves on a free port of HOST, which it writes into the file

moto looks whether a key exists and then writes it. S3 does both in one step, and so does moto here: requests are
answered one at a time.
"""

from __future__ import annotations

import contextlib
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from end_to_end.running_service import wait_for
from stores.store import Store, running

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "stature-tests"


@contextlib.contextmanager
def moto_s3(folder: Path, host: str = "127.0.0.1") -> Iterator[Store]:
    """A bucket on a moto server that lasts as long as the block. The host is an address of this machine."""
    log, port_file = folder / "moto.log", folder / "moto.port"
    with running(
        [sys.executable, __file__, port_file, host], log, PYTHONPATH=str(Path(__file__).parents[1])
    ) as process:
        wait_for(lambda: process.poll() is not None or port_file.exists(), log.read_text)
        assert process.poll() is None, log.read_text()
        endpoint = f"http://{host}:{port_file.read_text()}"
        make_bucket(endpoint, "testing", "testing")
        yield s3_store("moto", endpoint, "testing", "testing")


def s3_store(name: str, endpoint: str, key_id: str, secret: str) -> Store:
    """What a user sets for a store that speaks the language of S3."""
    environment = {
        "AWS_ENDPOINT": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": key_id,
        "AWS_SECRET_ACCESS_KEY": secret,
    }
    return Store(name, f"s3://{BUCKET}", environment, "AWS_ENDPOINT")


def make_bucket(endpoint: str, key_id: str, secret: str) -> None:
    import boto3  # moto stands on it

    boto3.client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    ).create_bucket(Bucket=BUCKET)


def _serve(port_file: Path, host: str) -> None:
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    application = DomainDispatcherApplication(create_backend_app)
    turn = threading.Lock()

    def one_at_a_time(environment: dict[str, Any], start_response: Any) -> list[bytes]:
        with turn:
            return list(application(environment, start_response))

    server = make_server(host, 0, one_at_a_time, threaded=True)
    written = port_file.with_suffix(".new")
    written.write_text(str(server.port))
    written.rename(port_file)
    server.serve_forever()


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), sys.argv[2])
