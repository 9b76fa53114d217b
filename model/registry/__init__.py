"""Versions that never change, and aliases whose every move is on record.

storage.py    put if absent, get, list, delete: on a local directory, or (object_storage.py) in a cloud
manifest.py   what is said of a version, as JSON
version.py    a version's weights: encoded, decoded, verified
log.py        alias moves: records, the state after each, the end of the log
registry.py   versions and the log on top of storage
difference.py how far two versions are apart
pruning.py    removes what no one needs
doctor.py     tries a storage before it is trusted
audit.py      all that is not as it must be, in sentences
"""
