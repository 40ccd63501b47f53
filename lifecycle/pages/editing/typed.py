"""What somebody typed into the form of an e-mail, and a version's words as the form shows them."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from messaging.content import Variant

SELECTORS = ("provider", "error_class", "role")
FIELDS = (*SELECTORS, "subject", "preheader", "body")
# More than any e-mail needs, and few enough for one page.
MOST_VARIANTS = 60
MOST_CLAIMS = 60


@dataclass(frozen=True, slots=True)
class Shown:
    """One variant as the form shows it."""

    at: int
    variant: Variant

    @property
    def name(self) -> str:
        return self.variant.name


def words(form: Mapping[str, str]) -> dict[str, Any]:
    """The words of a submitted form, finished or not. Raises ValueError for a form that is not ours."""
    count = int(form["variants"])
    if not 0 <= count <= MOST_VARIANTS:
        raise ValueError("So many variants do not fit into one e-mail.")
    variants = []
    for at in range(count):
        texts = {field: _text(form.get(f"v{at}-{field}", "")) for field in FIELDS}
        variants.append(plain({**texts, **{key: texts[key].strip() for key in SELECTORS}}))
    return {"variants": variants, "claims": claims(form)}


def _text(typed: str) -> str:
    # A form sends every line end as CR LF, which would make each save look like a change.
    return typed.replace("\r\n", "\n").replace("\r", "\n")


def plain(variant: Mapping[str, str]) -> dict[str, str]:
    """The variant without the selectors that it does not use: one spelling for the same words."""
    return {key: variant.get(key, "") for key in FIELDS if variant.get(key) or key not in SELECTORS}


def plainly(content: Mapping[str, Any]) -> dict[str, Any]:
    """A version's words in the form's own spelling."""
    variants = [plain(one) for one in content.get("variants", ())]
    return {
        "variants": variants,
        "claims": [_plain_claim(one) for one in content.get("claims", ())],
    }


def _plain_claim(claim: Any) -> Any:
    # An earlier release kept a condition that had no words yet as the whole claim.
    is_whole = isinstance(claim, dict) and set(claim) == {"says", "holds"}
    return claim if is_whole else {"says": "", "holds": claim}


def variants(content: Mapping[str, Any]) -> tuple[Variant, ...]:
    """The variants however unfinished they are, in their order."""
    return tuple(
        Variant(**{key: str(one.get(key) or "") for key in FIELDS})
        for one in content.get("variants", ())
    )


def shown(content: Mapping[str, Any]) -> Sequence[Shown]:
    return [Shown(at, variant) for at, variant in enumerate(variants(content))]


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim as the form shows it: the fact in plain words, and when it holds, as JSON."""

    says: str
    holds: str


def claims(form: Mapping[str, str]) -> list[Any]:
    """The claims of a submitted form; half-written ones stay as they are, empty ones go."""
    found: list[Any] = []
    at = 0
    while f"claim{at}-holds" in form and at < MOST_CLAIMS:
        says = _text(form.get(f"claim{at}-says", "")).strip()
        # A condition that somebody wrote wins over the one that is chosen.
        own = _text(form.get(f"claim{at}-own", "")).strip()
        holds = _json(own or _text(form[f"claim{at}-holds"]).strip())
        if says or holds:
            found.append({"says": says, "holds": holds})
        at += 1
    return found


def _json(text: str) -> Any:
    """What the text describes; the text itself while it is half-written, for the checks to tell."""
    if text[:1] != "{":
        return text
    try:
        found = json.loads(text)
        plain = json.dumps(found, ensure_ascii=False)
        # An escape can hide what no database keeps: half of a pair, which does not encode, or a NUL.
        plain.encode()
    except (ValueError, RecursionError):
        return text
    return text if "\\u0000" in plain else found


def shown_claims(content: Mapping[str, Any]) -> Sequence[Claim]:
    """The claims, with two lines for more."""
    found = [Claim(str(one["says"]), _as_text(one["holds"])) for one in plainly(content)["claims"]]
    return [*found, Claim("", ""), Claim("", "")]


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def claims_text(content: Mapping[str, Any]) -> str:
    """The claims as one text, for comparing."""
    return "\n".join(
        f"{one.says}: {one.holds}" if one.says else one.holds
        for one in shown_claims(content)
        if one.says or one.holds
    )


def changed(content: Mapping[str, Any], act: str) -> dict[str, Any]:
    """The words after a button was used: `add|provider|error class|role`, `copy|2` or `remove|2`.

    Raises ValueError for any other act.
    """
    verb, *rest = act.split("|")
    found = list(content["variants"])
    match verb, rest:
        case "add", [provider, error_class, role]:
            chosen = {"provider": provider, "error_class": error_class, "role": role}
            found.append(plain({**chosen, "subject": "", "body": ""}))
        case "copy", [at]:
            found.insert(int(at) + 1, dict(found[int(at)]))
        case "remove", [at]:
            del found[int(at)]
        case _:
            raise ValueError(f"There is no act {act!r}.")
    return {**content, "variants": found}
