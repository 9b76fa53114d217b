"""Every failure of this package, one tree. Nothing here knows of HTTP or of exit codes.

StatureError                 what went wrong, where, what was expected, what to do: in words for a person
├── SettingsError            a setting, flag or environment variable that cannot be
├── MeasurementsError        a pair of measurements outside the model's domain
├── DataError                a file of people that cannot be trained on
├── TrainingError            a fit that did not end in a usable network
├── StorageError             the registry's storage did not do what it must
│   └── OversizedError       a file is larger than it may be
└── RegistryError            what the registry holds, or does not hold
    ├── NotFoundError        no such version, alias or champion
    ├── ExpectationError     `expect` did not hold: someone moved the alias in between
    ├── RefusedError         an operation that the registry's rules forbid
    └── CorruptionError      a file in the registry is not what it must be
"""

from __future__ import annotations


class StatureError(Exception):
    """The root: its text is meant to be shown to the person who can mend the cause."""


class SettingsError(StatureError):
    """A setting, flag or environment variable has a value that cannot be; the text names it."""


class MeasurementsError(StatureError, ValueError):
    """A weight and a height that no adult in the model's domain has; `problems` says which and what it looks like."""

    def __init__(self, problems: tuple[tuple[str, str, str], ...]) -> None:
        super().__init__("; ".join(detail for _, _, detail in problems))
        self.problems = problems
        """(field, code, detail) of each problem, such as ("height_cm", "swapped_measurements", "182 kg and …")."""


class DataError(StatureError):
    """A file of people that cannot be read, or not be trained on."""


class TrainingError(StatureError):
    """A fit that did not end in a usable network."""


class StorageError(StatureError):
    """The storage below the registry failed, or cannot give the guarantee that the registry stands on."""


class OversizedError(StorageError):
    """A file is larger than it may be, and was not read."""


class RegistryError(StatureError):
    """The registry does not hold what was asked for, or forbids what was asked."""


class NotFoundError(RegistryError):
    """No such version, alias or champion."""


class ExpectationError(RegistryError):
    """`expect` did not hold: the alias points elsewhere than its mover believed."""


class RefusedError(RegistryError):
    """An operation that the registry's rules forbid."""


class CorruptionError(RegistryError):
    """A file in the registry is not what it must be; it is named, and it is never served."""
