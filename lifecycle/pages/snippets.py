"""Code to copy that tells one journey's story, in Python, Node and curl."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lifecycle.engine.journey import Journey, Test
from lifecycle.engine.routing import Role
from lifecycle.pages.meaning import Use
from lifecycle.pages.needed import Needed, Plan

WRITE_KEY = "YOUR_WRITE_KEY"
USER, ACCOUNT = "user-1", "account-1"
PERSON = {"email": "dana@customer.example", "name": "Dana Example", "timezone": "Europe/Berlin"}
COMPANY = {
    "name": "Customer Inc.",
    "role": "admin",
    "plan": "growth",
    "value": 12000,
    "timezone": "Europe/Berlin",
}
TOLD = (Role.START, Role.ERROR, Role.MILESTONE)


@dataclass(frozen=True)
class Snippet:
    """Code in one language."""

    label: str
    text: str


def story(plan: Plan) -> list[tuple[str, dict[str, Any]]]:
    """The minimum in the order in which it happens: events that count, with example properties."""
    events = {event.name: event for event in plan.events}
    told = []
    for part in sorted(plan.minimum, key=lambda part: TOLD.index(part.role)):
        # Of several events that would do, the first.
        event = events[part.events[0]]
        use = next(u for u in event.uses if (u.role, u.key) == (part.role, part.key))
        told.append((event.name, example(event, use, plan.document)))
    return told


def example(event: Needed, use: Use, document: Journey) -> dict[str, Any]:
    """Properties with which the event means this to the journey, from the catalogue's example."""
    said = dict(event.example)
    known = {each.name for each in event.properties}
    providers = [key for key, _ in document.provider_names]
    if "provider" in known and providers and said.get("provider") not in providers:
        said["provider"] = providers[0]
    if "integration_type" in known:
        said["integration_type"] = document.integration_type
    if "integration_id" in known:
        said["integration_id"] = f"{document.integration_type}-1"
    for test in use.where:
        _satisfy(said, test)
    return said


def _satisfy(said: dict[str, Any], test: Test) -> None:
    """Change the properties so that they pass the test."""
    values = test.value if isinstance(test.value, tuple) else (test.value,)
    match test.op:
        case "eq" | "in" | "gte" | "lte":
            said[test.property] = values[0] if values else None
        case "ne" | "not_in":
            if said.get(test.property) in values:
                del said[test.property]
        case "exists":
            said.setdefault(test.property, "…")


def snippets(plan: Plan, *, site: str) -> list[Snippet]:
    """The same story in each language, for this installation."""
    told = story(plan)
    return [
        Snippet("Python: pip install segment-analytics-python", python(told, site)),
        Snippet("Node: npm install @segment/analytics-node", node(told, site)),
        Snippet("curl", curl(told, site)),
    ]


def python(told: Sequence[tuple[str, Mapping[str, Any]]], site: str) -> str:
    lines = [
        "import segment.analytics as analytics",
        "",
        f'analytics.write_key = "{WRITE_KEY}"',
        f"analytics.host = {json.dumps(site)}",
        "",
        f'analytics.identify("{USER}", {_python(PERSON)})',
        f'analytics.group("{USER}", "{ACCOUNT}", {_python(COMPANY)})',
        f'in_account = {{"groupId": "{ACCOUNT}"}}',
        *(
            f'analytics.track("{USER}", {json.dumps(name)}, {_python(said)}, context=in_account)'
            for name, said in told
        ),
        "analytics.flush()",
    ]
    return "\n".join(lines)


def node(told: Sequence[tuple[str, Mapping[str, Any]]], site: str) -> str:
    lines = [
        "import { Analytics } from '@segment/analytics-node'",
        "",
        "const analytics = new Analytics({",
        f"  writeKey: '{WRITE_KEY}',",
        f"  host: {json.dumps(site)},",
        "})",
        f"const userId = '{USER}', groupId = '{ACCOUNT}', context = {{ groupId }}",
        f"analytics.identify({{ userId, traits: {_node(PERSON)} }})",
        f"analytics.group({{ userId, groupId, traits: {_node(COMPANY)} }})",
        *(
            f"analytics.track({{ userId, context, event: {json.dumps(name)}, "
            f"properties: {_node(said)} }})"
            for name, said in told
        ),
        "await analytics.closeAndFlush()",
    ]
    return "\n".join(lines)


def curl(told: Sequence[tuple[str, Mapping[str, Any]]], site: str) -> str:
    batch = [
        {"type": "identify", "userId": USER, "traits": PERSON},
        {"type": "group", "userId": USER, "groupId": ACCOUNT, "traits": COMPANY},
        *(
            {
                "type": "track",
                "userId": USER,
                "event": name,
                "properties": said,
                "context": {"groupId": ACCOUNT},
            }
            for name, said in told
        ),
    ]
    lines = ",\n".join("  " + json.dumps(each, ensure_ascii=False) for each in batch)
    body = shlex.quote('{"batch": [\n' + lines + "\n]}")
    return (
        f"curl -u {WRITE_KEY}: {shlex.quote(site + '/v1/batch')} \\\n"
        f"  -H 'Content-Type: application/json' \\\n  -d {body}"
    )


def _python(values: Mapping[str, Any]) -> str:
    lines = (
        f"    {json.dumps(name)}: {json.dumps(value) if isinstance(value, str) else repr(value)},\n"
        for name, value in values.items()
    )
    return "{\n" + "".join(lines) + "}"


def _node(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, ensure_ascii=False)
