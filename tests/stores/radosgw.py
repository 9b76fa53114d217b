"""Ceph's object gateway, a real distributed store that speaks S3: one monitor, one store of objects in memory, one
gateway, each a process on loopback with all that it writes in a temporary folder.

    PYTHONPATH=tests python -m stores.radosgw      installs it from Debian's packages, as root
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import debian
from end_to_end.running_service import free_port, wait_for
from stores.moto_s3 import make_bucket, s3_store
from stores.store import Store, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PACKAGES = ("ceph-mon", "ceph-osd", "ceph-common", "radosgw")
PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "monmaptool", "radosgw", "radosgw-admin")
KEY_ID, SECRET = "stature-tests", "stature-tests-secret"

# No authentication between the daemons: they are one user's, on loopback. The gateway's own users sign their requests.
_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = [v2:127.0.0.1:{monitor_port}]
auth cluster required = none
auth service required = none
auth client required = none
ms mon client mode = crc
run dir = {folder}
admin socket = {folder}/$name.$pid.asok
log file = {folder}/$name.log
pid file =
keyring = {folder}/keyring
crash dir = {folder}
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd pool default pg autoscale mode = off
mon allow pool size one = true
mon max pg per osd = 1000
mon data avail crit = 0
mon data avail warn = 0
[mon.a]
mon data = {folder}/mon
[osd]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd class dir = {classes}
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{gateway_port} tcp_nodelay=1
rgw enable usage log = false
rgw dynamic resharding = false
rgw thread pool size = 32
"""


def install() -> None:
    debian.install(*PACKAGES, are_there=lambda: all(map(shutil.which, PROGRAMS)))


@contextlib.contextmanager
def radosgw() -> Iterator[Store]:
    """A bucket on a gateway that lasts as long as the block."""
    install()
    with contextlib.ExitStack() as stack:
        # A socket's path may have 107 characters, and pytest's own folders leave too few of them.
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rgw-")))
        fsid, osd, log = str(uuid.uuid4()), str(uuid.uuid4()), folder / "output"
        monitor_port, gateway_port = free_port(), free_port()
        configuration = folder / "ceph.conf"
        configuration.write_text(
            _CONFIGURATION.format(
                folder=folder,
                fsid=fsid,
                monitor_port=monitor_port,
                gateway_port=gateway_port,
                classes=next(Path("/usr/lib").glob("*/rados-classes"), Path("/usr/lib/rados-classes")),
            )
        )
        (folder / "keyring").touch()
        for name in ("mon", "osd", "rgw"):
            (folder / name).mkdir()

        def command(*arguments: str) -> list[str]:
            return [arguments[0], "-c", str(configuration), *arguments[1:]]

        def done(*arguments: str) -> str:
            return subprocess.run(
                command(*arguments), capture_output=True, text=True, check=True, timeout=60, cwd=folder
            ).stdout

        address = f"[v2:127.0.0.1:{monitor_port}]"
        done("monmaptool", "--create", "--fsid", fsid, "--addv", "a", address, f"{folder}/monmap")
        done("ceph-mon", "--mkfs", "-i", "a", "--fsid", fsid, "--monmap", f"{folder}/monmap")
        stack.enter_context(running(command("ceph-mon", "-f", "-i", "a"), log))
        assert done("ceph", "--connect-timeout", "30", "osd", "new", osd).strip() == "0"
        done("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        stack.enter_context(running(command("ceph-osd", "-f", "-i", "0"), log))
        wait_for(lambda: "1 up" in done("ceph", "osd", "stat"), log.read_text)
        names = ("--uid", "tests", "--display-name", "tests", "--access-key", KEY_ID, "--secret-key", SECRET)
        done("radosgw-admin", "user", "create", *names)
        stack.enter_context(running(command("radosgw", "-f", "-n", "client.rgw"), log))
        endpoint = f"http://127.0.0.1:{gateway_port}"
        _make_bucket_when_it_answers(endpoint, lambda: (folder / "client.rgw.log").read_text()[-3000:])
        yield s3_store("radosgw", endpoint, KEY_ID, SECRET)


def _make_bucket_when_it_answers(endpoint: str, explain: Callable[[], str]) -> None:
    from botocore.exceptions import BotoCoreError

    deadline = time.monotonic() + 30
    while True:
        try:
            make_bucket(endpoint, KEY_ID, SECRET)
        except BotoCoreError:
            assert time.monotonic() < deadline, explain()
            time.sleep(0.1)
        else:
            return


if __name__ == "__main__":
    install()
