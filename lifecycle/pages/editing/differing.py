"""Two tellings of one e-mail side by side: where they differ, and one made of both."""

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.pages.editing import typed
from messaging.content import Variant

LABELS = {"subject": "Subject", "preheader": "Preheader", "body": "Body"}
CLAIMS = "claims"


@dataclass(frozen=True, slots=True)
class Difference:
    """One text that differs, or a variant that one side lacks (None). `take` proposes theirs."""

    key: str
    label: str
    mine: str | None
    theirs: str | None
    take: bool = False


def named(words: Mapping[str, Any]) -> dict[str, Variant]:
    """The variants by a name that stays the same while they move; twins are numbered."""
    found: dict[str, Variant] = {}
    for variant in typed.variants(words):
        name, number = variant.name, 1
        while name in found:
            number += 1
            name = f"{variant.name} ({number})"
        found[name] = variant
    return found


def pieces(words: Mapping[str, Any]) -> dict[str, str]:
    """Every text by its key: `variant|field`, and `variant|` for the whole of one."""
    found = {CLAIMS: typed.claims_text(words)}
    for name, variant in named(words).items():
        texts = {field: getattr(variant, field) for field in LABELS}
        found[f"{name}|"] = "\n\n".join(filter(None, texts.values()))
        found |= {f"{name}|{field}": text for field, text in texts.items()}
    return found


def marks(words: Mapping[str, Any]) -> str:
    """A short mark of every text, as JSON, so that a later save knows which were changed since."""
    return json.dumps({key: _mark(text) for key, text in pieces(words).items()})


def _mark(text: str | None) -> str | None:
    return None if text is None else hashlib.sha256(text.encode()).hexdigest()[:12]


def differences(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], began_with: str = "{}"
) -> Sequence[Difference]:
    """Where they differ; theirs is proposed for what was not touched since `began_with` (see `marks`)."""
    ours, others = pieces(mine), pieces(theirs)
    try:
        before = json.loads(began_with)
    except ValueError:
        before = {}
    found = []
    for key in dict.fromkeys([*ours, *others]):
        name, _, field = key.rpartition("|")
        whole = f"{name}|"
        both = key == CLAIMS or (whole in ours and whole in others)
        # A variant that both have is compared text by text, any other as a whole.
        if both == (bool(field)) and ours.get(key) != others.get(key):
            label = f"{LABELS[field]} ({name})" if both and name else f"The variant “{name}”"
            untouched = before.get(key) == _mark(ours.get(key))
            found.append(
                Difference(
                    key,
                    "What it says is true" if key == CLAIMS else label,
                    ours.get(key),
                    others.get(key),
                    take=untouched,
                )
            )
    return found


def merged(
    mine: Mapping[str, Any], theirs: Mapping[str, Any], take: Collection[str]
) -> dict[str, Any]:
    """My words, with theirs for the keys in `take`; taking what they lack leaves it out."""
    ours, others = named(mine), named(theirs)
    variants = []
    for name, variant in {**ours, **others}.items():
        if name in ours and name in others:
            texts = {field: getattr(ours[name], field) for field in typed.FIELDS}
            for field in LABELS:
                if f"{name}|{field}" in take:
                    texts[field] = getattr(others[name], field)
        elif (name in ours) == (f"{name}|" in take):
            continue
        else:
            texts = {field: getattr(variant, field) for field in typed.FIELDS}
        variants.append(typed.plain(texts))
    chosen = theirs if CLAIMS in take else mine
    return {"variants": variants, "claims": list(chosen.get("claims", ()))}
