"""Versions that never change, and aliases whose every move is on record.

storage.py    put if absent, get, list, delete: on a local directory
manifest.py   what is said of a version, as JSON
version.py    a version's weights: encoded, decoded, verified
log.py        alias moves: records, the state after each, the end of the log
registry.py   versions and the log on top of storage
audit.py      all that is not as it must be, in sentences
"""
