"""The readers that an e-mail is shown for: made up, in every state it can be sent in."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.db.models import Q

from accounts.models import Account, User
from lifecycle.journeys.samples import samples_of
from lifecycle.pages.editing import typed
from lifecycle.pages.whole_number import whole_number
from lifecycle.runner.real_samples import real_samples
from messaging.checks.remark import Sample
from messaging.content import EXAMPLES, VARIABLES
from messaging.preview import example_facts

# How the key of a real account's sample begins.
REAL = "account:"


def samples_for(
    key: str, content: Mapping[str, Any], frozen: Mapping[str, Any]
) -> Sequence[Sample]:
    """The readers that this e-mail can be sent to; for one that no step sends, one for each variant."""
    if found := samples_of(key):
        return found
    able = frozenset(
        str(one.get("capability") or "") for one in (frozen.get("destinations") or {}).values()
    )
    return [
        Sample(str(at), f"an example reader of “{one.name}”", example_facts(one), able)
        for at, one in enumerate(typed.variants(content))
    ]


def real_for(key: str, user: User, asked: str, *, now: datetime) -> tuple[Sequence[Sample], str]:
    """The readers in a real account, and why there are none; for whoever may see accounts.

    `asked` is the account's id or name as somebody typed it, or the key of one of its samples.
    """
    if not asked or not user.has_perm("accounts.view_account"):
        return (), ""
    accounts = Account.objects.filter(merged_into=None)
    if asked.startswith(REAL):
        of = accounts.filter(pk=whole_number(asked.removeprefix(REAL).split(":")[0]) or 0)
    else:
        of = accounts.filter(Q(external_id=asked) | Q(name__iexact=asked))
    found = list(of.order_by("environment", "pk")[:2])
    if not found:
        return (), f"There is no account “{asked}”."
    if len(found) > 1:
        return (), f"Several accounts are called “{asked}”: give the account's id."
    readers = real_samples(found[0], key, now=now)
    if not readers:
        return (), f"No live journey sends this e-mail to anybody in {found[0]}."
    return readers, ""


def grouped(samples: Sequence[Sample]) -> Mapping[str, Sequence[Sample]]:
    """The samples by the step that sends to them."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.step or "Examples", []).append(sample)
    return found


def chosen(samples: Sequence[Sample], key: str) -> Sample | None:
    """The sample of that key, else the first."""
    return next((one for one in samples if one.key == key), samples[0] if samples else None)


def value(context: Mapping[str, Any], path: str) -> str:
    """What a variable prints for this reader; "" where it has no value."""
    found: Any = context
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return "" if found is None else str(found)


def variables(samples: Sequence[Sample], sample: Sample | None) -> Sequence[dict[str, Any]]:
    """Every variable: meaning, value for this reader, and whether `all`, `some` or `no` readers have one."""
    rows = []
    for path, meaning in VARIABLES.items():
        having = sum(bool(value(one.context, path)) for one in samples)
        has = "all" if having == len(samples) else "some" if having else "no"
        here = value(sample.context, path) if sample else ""
        # The address to leave by exists for every mail, and only once there is one.
        if path == "unsubscribe_url":
            has, here = "all", here or str(EXAMPLES[path])
        rows.append({"path": path, "meaning": meaning, "value": here, "has": has})
    return rows
