"""The log of a model's aliases: its records, the state that each holds whole, and its end.

A record is written once and never changed. It names the sha256 of the record before it, so that history cannot be
rewritten unnoticed, and it holds the whole state after it, so that one file says who is champion.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pydantic import AwareDatetime, ConfigDict, Field

from model.registry.manifest import Name, Number, Sha256, Stored, Transaction, Verdict

CHAMPION, PREVIOUS, CHALLENGER = "champion", "previous", "challenger"

Expect = int | Literal["none"] | None
"""The version that an alias must point at for a move to be made, "none" for no version, None for any."""


class Operation(Stored):
    """What a record did. A reader need not know it: the record's state is what holds after it."""

    name: str
    version: Number | None = None
    alias: Name | None = None
    """Which alias was set, where it is neither champion nor previous."""
    expect: Number | Literal["none"] | None = None


class State(Stored):
    """All that the log decides, whole in every record. What a later release adds is carried along."""

    model_config = ConfigDict(extra="allow")

    aliases: dict[Name, Number] = Field(default_factory=dict)
    deleted: tuple[Number, ...] = ()


class Record(Stored):
    """One alias move, or one judgement."""

    format_version: Literal[1] = 1
    model: Name
    number: Number
    transaction: Transaction
    at: AwareDatetime
    by: str
    reason: str
    operation: Operation
    verdict: Verdict | None = None
    manifest_sha256: Sha256 | None
    previous_sha256: Sha256 | None
    state: State


@dataclass(frozen=True)
class Head:
    """The end of the log: its last record, or none yet, and what the next record will be chained to."""

    record: Record | None = None
    sha256: str | None = None

    @property
    def number(self) -> int:
        return self.record.number if self.record else 0

    @property
    def state(self) -> State:
        return self.record.state if self.record else State()

    @property
    def champion(self) -> int | None:
        return self.state.aliases.get(CHAMPION)

    def is_deleted(self, number: int) -> bool:
        return number in self._deleted

    @cached_property
    def _deleted(self) -> frozenset[int]:
        """Asked of every version by whoever lists them."""
        return frozenset(self.state.deleted)

    def aliases_of(self, number: int) -> list[str]:
        """The aliases that point at a version."""
        return sorted(alias for alias, aliased in self.state.aliases.items() if aliased == number)


def apply(operation: Operation, state: State) -> State:
    """The state after an operation: what every record claims of itself, and what the audit replays."""
    aliases = dict(state.aliases)
    if operation.name == "promote" and operation.version is not None:
        if CHAMPION in aliases:
            aliases[PREVIOUS] = aliases[CHAMPION]
        aliases[CHAMPION] = operation.version
    elif operation.name == "rollback":
        aliases[CHAMPION], aliases[PREVIOUS] = aliases[PREVIOUS], aliases[CHAMPION]
    elif operation.name == "set_alias" and operation.version is not None and operation.alias is not None:
        aliases[operation.alias] = operation.version
    elif operation.name == "delete" and operation.version is not None:
        return state.model_copy(update={"deleted": tuple(sorted({*state.deleted, operation.version}))})
    return state.model_copy(update={"aliases": aliases})


def in_words(number: int | str | None) -> str:
    """A version, or that there is none."""
    return "no version" if number in (None, "none") else f"version {number}"
