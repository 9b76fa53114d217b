"""Versions that never change, and aliases whose every move is on record.

storage.py    put if absent, get, list, delete: on a local directory
version.py    one published version: weights.npz and manifest, encoded, decoded, verified
registry.py   versions and the alias log on top of storage
"""
