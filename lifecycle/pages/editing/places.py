"""Where in an e-mail a remark is, in the words that the pages use for it."""

import re
from collections.abc import Mapping
from typing import Any

from lifecycle.pages.editing import typed
from lifecycle.pages.editing.differing import LABELS

_VARIANT = re.compile(r"variants\.(\d+)(?:\.(\w+))?")
_CLAIM = re.compile(r"claims\.(\d+)")
_SNIPPET = re.compile(r"snippets\.([\w-]+)")


def in_words(place: str, words: Mapping[str, Any]) -> str:
    """The place of these words by name: `variants.1.body` is “Body (error=auth)”; others as they are."""
    if found := _VARIANT.fullmatch(place):
        variants = typed.variants(words)
        at, field = int(found[1]), found[2] or ""
        if at < len(variants):
            name = variants[at].name
            label = LABELS.get(field, field.replace("_", " ").capitalize())
            return f"{label} ({name})" if field else f"The variant “{name}”"
    if found := _CLAIM.fullmatch(place):
        return f"What it says is true, no. {int(found[1]) + 1}"
    if found := _SNIPPET.fullmatch(place):
        return f"The shared text “{found[1]}”"
    return {"variants": "The whole e-mail", "claims": "What it says is true"}.get(place, place)
