"""What may be chosen in a journey's forms: e-mails, screens, events, capabilities, and the journey's own parts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from accounts.models import Capability
from events.models import EventType
from lifecycle.engine.journey import Journey, Purpose, To
from lifecycle.journeys import phrases
from lifecycle.pages.journey_editing import conditions
from messaging.models import Destination, Template

Listed = Sequence[tuple[str, str]]
CATEGORIES = (
    ("setup_help", "Help with the setup"),
    ("product_news", "Product news, which people can refuse apart"),
)


@dataclass(frozen=True, slots=True)
class Choices:
    """Every list by its name, each entry as (value, label)."""

    lists: Mapping[str, Listed]

    def of(self, name: str) -> Listed:
        return self.lists[name]

    def names(self, name: str) -> Mapping[str, str]:
        return dict(self.lists[name])


def choices(journey: Journey | None) -> Choices:
    """What can be chosen for this journey; None while its document cannot be read."""
    path = journey.path if journey else None
    screens = Destination.objects.order_by("name").values_list("key", "name")
    events = EventType.objects.filter(planned=True).values_list("name", "description")
    return Choices(
        {
            "template": tuple(Template.objects.order_by("name").values_list("key", "name")),
            "destinations": tuple(screens),
            "capabilities": tuple(Capability.objects.order_by("key").values_list("key", "name")),
            "events": tuple(events),
            "milestones": tuple((one.key, one.name) for one in path.milestones) if path else (),
            "facts": tuple(conditions.facts_of(journey)),
            "ops": tuple(conditions.OPS.items()),
            "purpose": tuple((key.value, phrases.PURPOSES[key].capitalize()) for key in Purpose),
            "to": tuple(
                (key.value, phrases.WHO[key].removeprefix("to ").capitalize()) for key in To
            ),
            "category": CATEGORIES,
            "days": tuple((str(at), name) for at, name in enumerate(phrases.DAYS)),
        }
    )
