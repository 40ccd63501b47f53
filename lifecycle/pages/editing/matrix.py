"""Which variant each reader gets: providers down, error classes across, a table for each role."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.pages.editing import typed
from lifecycle.pages.editing.uses import Readers
from messaging.content import Content, RenderError, Variant, choose

ANY_PROVIDER = ("", "Any other provider")
ANY_ERROR = ("", "Any other error")
NO_ERROR = ("", "Every reader")
ANY_ROLE = ("", "Any other role")


@dataclass(frozen=True, slots=True)
class Cell:
    """One kind of reader. `fit`: `own` wording, `part` of it, the `default`, or `none` fits."""

    fit: str
    name: str
    at: int | None
    add: str
    error: str

    @property
    def label(self) -> str:
        match self.fit:
            case "none":
                return "nothing fits"
            case "default":
                return "falls back to default"
            case _:
                return self.name


@dataclass(frozen=True, slots=True)
class Table:
    """All readers of one role."""

    role: str
    errors: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]


def matrix(content: Mapping[str, Any], readers: Readers) -> Sequence[Table]:
    """The tables, one for each role that a variant names and one for all others."""
    found = typed.variants(content)
    providers = _with(readers.providers, (one.provider for one in found), ANY_PROVIDER)
    errors = _with(readers.errors, (one.error_class for one in found), ANY_ERROR)
    if len(errors) == 1:
        errors = [NO_ERROR]
    named = {one.role for one in found if one.role}
    known = [(key, name) for key, name in readers.roles if key in named]
    roles = _with(tuple(known), named, ANY_ROLE)
    return [
        Table(
            role=name if len(roles) > 1 else "",
            errors=tuple(label for _, label in errors),
            rows=tuple(
                (label, tuple(_cell(found, provider, error, role) for error in errors))
                for provider, label in providers
            ),
        )
        for role, name in roles
    ]


def _with(
    known: tuple[tuple[str, str], ...], named: Any, rest: tuple[str, str]
) -> list[tuple[str, str]]:
    """What is known, what the variants name besides, and everybody else, who always come last."""
    keys = {key for key, _ in known}
    return [*known, *((key, key) for key in dict.fromkeys(named) if key and key not in keys), rest]


def _cell(found: tuple[Variant, ...], provider: str, known: tuple[str, str], role: str) -> Cell:
    error, label = known
    reader = {"provider": {"key": provider}, "error": {"class": error}, "person": {"role": role}}
    add = f"add|{provider}|{error}|{role}"
    try:
        winner = choose(Content(found), reader)
    except RenderError:
        return Cell("none", "", None, add, label)
    selectors = (winner.provider, winner.error_class, winner.role)
    if selectors == (provider, error, role):
        fit = "own"
    elif any(selectors):
        fit = "part"
    else:
        fit = "default"
    at = next(at for at, one in enumerate(found) if one is winner)
    return Cell(fit, winner.name, at, add, label)
