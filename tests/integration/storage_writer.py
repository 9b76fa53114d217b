"""A process that tries to be the first to write each key.

    python storage_writer.py LOCATION NAME KEYS

It says `ready`, waits for a line, and then says which keys it won.
"""

from __future__ import annotations

import sys

from model.registry.storage import open_storage


def main(location: str, name: str, keys: int) -> None:
    storage = open_storage(location)
    storage.get("keys/0", 1)  # connected, and everything imported
    print("ready", flush=True)
    sys.stdin.readline()
    print(*(key for key in range(keys) if storage.put_if_absent(f"keys/{key}", name.encode())))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
