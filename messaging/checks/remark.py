"""What a check says about a template or a journey, and the readers it tries the words on."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a check found: where, why, and how to mend it.

    `check` is the rule's key, such as `subject_length`. `place` is a path into the document, such as
    `variants.2.body`, with the `line` of that text counted from 1 where one is to blame. `sample` names
    the reader it was seen with. A blocking remark keeps the version from being approved; others are advice.
    """

    check: str
    place: str
    message: str
    mend: str
    blocking: bool
    line: int | None = None
    sample: str = ""


@dataclass(frozen=True, slots=True)
class Sample:
    """One reader in one state of the product in which a template can be sent to them.

    `context` is what the template's variables resolve to; `capabilities` what the reader may do.
    `story` says in plain words how the account came there, the shortest way known, oldest first.
    """

    key: str
    name: str
    context: Mapping[str, Any]
    capabilities: frozenset[str] = frozenset()
    purpose: str = ""
    journey: str = ""
    step: str = ""
    story: tuple[str, ...] = ()
