"""What a template's variables resolve to, from the same facts that decided the mail."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.conf import settings

from lifecycle.engine.conditions import lacks_next, next_milestone
from lifecycle.engine.facts import Facts, Person
from lifecycle.engine.journey import Email, Journey, OpenAlert, Step
from lifecycle.engine.people import in_asking_order
from lifecycle.engine.state import SetupState


def context(
    journey: Journey,
    facts: Facts,
    person: Person,
    *,
    workspace: str,
    plan: str,
    support: str,
    now: datetime,
) -> dict[str, Any]:
    """The variables of one mail to one person, as JSON values.

    `workspace` is the account's name, `support` the address of the people who help.
    """
    setup = facts.setup
    upcoming = next_milestone(journey, facts)
    starter = facts.people.get(setup.starter) if setup.starter is not None else None
    activation = journey.path.activation
    return {
        "person": _person(person),
        "account": {"name": workspace, "plan": plan},
        "integration": {"type": journey.integration_type, "name": journey.integration_name},
        "provider": {"key": setup.provider, "name": provider_name(journey, setup.provider)},
        "setup": {
            "started_at": setup.started.at.isoformat(),
            "age_hours": int((now - setup.started.at).total_seconds() // 3600),
            "started_by": _person(starter),
        },
        "next": {
            "milestone": upcoming.key,
            "name": upcoming.name,
            "action": upcoming.action,
            "capability": upcoming.capability,
            "destination": upcoming.destination,
        },
        "error": _error(journey, facts),
        "helper": _person(_helper(journey, facts)),
        "activation": {"name": activation.name, "destination": activation.destination},
        "product": {"name": settings.PRODUCT_NAME},
        "support": {"email": support},
    }


def provider_name(journey: Journey, key: str) -> str:
    """The provider's name as people write it."""
    return dict(journey.provider_names).get(key) or key.replace("_", " ").title()


def setup_name(journey: Journey, setup: SetupState) -> str:
    """What a setup is called: its provider, or the kind of integration while none is known."""
    return provider_name(journey, setup.provider) or journey.integration_name


def step_name(step: Step, templates: Mapping[str, str]) -> str:
    """What a step is called; `templates` are the e-mails' names by key."""
    match step.do:
        case Email(template=key):
            return templates.get(key, key)
        case OpenAlert(title=title):
            return f"Alert: {title}"
        case _:
            return "Hand-off to activation"


def _person(person: Person | None) -> dict[str, str]:
    if person is None:
        return {"name": "", "first_name": "", "email": "", "role": ""}
    first = person.name.split()[0] if person.name.strip() else ""
    return {"name": person.name, "first_name": first, "email": person.email, "role": person.role}


def _error(journey: Journey, facts: Facts) -> dict[str, Any]:
    last, block = facts.setup.last_error, facts.setup.block
    key = block.error_class if block else last.error_class if last else ""
    if not key:
        return {"class": "", "name": "", "message": "", "count": 0}
    same = last if last and last.error_class == key else None
    return {
        "class": key,
        "name": journey.path.error(key).name,
        "message": same.message if same else "",
        "count": same.count if same else journey.path.error(key).threshold,
    }


def _helper(journey: Journey, facts: Facts) -> Person | None:
    """The teammate to suggest: the first in the asking order who is able and did not start it."""
    for person in in_asking_order(journey, facts):
        if person.id != facts.setup.starter and not lacks_next(journey, facts, person):
            return person
    return None
