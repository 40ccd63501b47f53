"""What a mail asks of its reader: one thing, the right one, and one that they may do."""

import re
from collections.abc import Iterator

from messaging.checks.remark import Remark
from messaging.checks.trial import Trial, Trials
from messaging.slots import Way

CONFIRMATION = "confirmation"
# Purposes whose mails ask for the next step; a checklist against errors leads elsewhere.
ASKING = ("nudge", "ask")


def buttons(trial: Trial) -> list[Way]:
    return [way for way in trial.run.ways if way.kind == "button"]


def one_main_action(trials: Trials) -> Iterator[Remark]:
    """A mail with no button or several; a confirmation may do without."""
    for trial in trials.mails:
        found = buttons(trial)
        if len(found) > 1:
            labels = ", ".join(f"“{way.label}”" for way in found)
            yield Remark(
                "one_main_action",
                trial.place(found[1].place),
                f"The mail has {len(found)} buttons: {labels}.",
                "Keep the one that matters most; make the others links in the text.",
                True,
                found[1].line,
                trial.sample.name,
            )
        elif not found and trial.sample.purpose != CONFIRMATION:
            yield Remark(
                "one_main_action",
                trial.place("body"),
                "The mail has no button, so it is not clear what to do.",
                'Add {% button "…" %}…{% endbutton %} with the next step.',
                True,
                sample=trial.sample.name,
            )


def next_action(trials: Trials) -> Iterator[Remark]:
    """A reminder that neither names the next step nor leads to the screen where it is done."""
    for trial in trials.mails:
        action = str(trial.fact("next.action") or "")
        if trial.sample.purpose not in ASKING or not action:
            continue
        leads = any(way.destination == trial.fact("next.destination") for way in trial.run.ways)
        said = f"{trial.mail.subject}\n{trial.mail.text}".casefold()
        # The verb may be another, such as “save” for “create”; the thing may not.
        named = [word for word in re.findall(r"\w+", action.casefold())[1:] if len(word) > 2]
        if not leads and not all(word in said for word in named):
            yield Remark(
                "next_action",
                trial.place("body"),
                f"The next step, “{action}”, is not in this mail.",
                "Name it with {{ next.action }} or in your own words, or lead the button there.",
                False,
                sample=trial.sample.name,
            )


def provider_named(trials: Trials) -> Iterator[Remark]:
    """A mail about a setup whose provider is known that does not name it."""
    for trial in trials.mails:
        name = str(trial.fact("provider.name") or "")
        said = f"{trial.mail.subject}\n{trial.mail.preheader}\n{trial.mail.text}".casefold()
        if name and name.casefold() not in said:
            yield Remark(
                "provider_named",
                trial.place("body"),
                f"The reader connects {name}, but the mail does not say so.",
                'Name it with {{ provider.name | default: "…" }}.',
                False,
                sample=trial.sample.name,
            )


def capability(trials: Trials) -> Iterator[Remark]:
    """A task for somebody who lacks what the screen for it requires."""
    destinations = trials.frozen.get("destinations") or {}
    for trial in trials.mails:
        for way in trial.run.ways:
            screen = destinations.get(way.destination) or {}
            needed = {str(screen.get("capability") or "")}
            if way.kind == "button" and way.destination == trial.fact("next.destination"):
                needed.add(str(trial.fact("next.capability") or ""))
            for missing in sorted(needed - {""} - trial.sample.capabilities):
                yield Remark(
                    "capability",
                    trial.place(way.place),
                    f"The {way.kind} leads to “{screen.get('name') or way.destination}”, which "
                    f"requires “{missing}”, and this reader does not have it.",
                    "Lead to a screen that they may use, or send this mail to somebody who has it.",
                    # A link may stand in a text that the reader is asked to pass on, and nobody lacks
                    # for certain what a role that we were never told would grant.
                    way.kind == "button" and bool(trial.fact("person.role")),
                    way.line,
                    trial.sample.name,
                )
