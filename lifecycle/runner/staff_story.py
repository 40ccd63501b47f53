"""What staff did or imported, each as a sentence of the account's story."""

from collections.abc import Mapping

from events.models import Event
from events.placing import PLACED as ATTRIBUTED
from lifecycle.engine.fold import HOLD_ENDED, HOLD_STARTED, PLACED, RESTARTED, STOPPED, UNBLOCKED
from lifecycle.runner import imported
from lifecycle.runner.merging.accounts import MERGED as ACCOUNTS_MERGED
from lifecycle.runner.merging.people import MERGED as PEOPLE_MERGED
from lifecycle.runner.pausing import ACCOUNT_PAUSED, ACCOUNT_RESUMED
from lifecycle.runner.staff_facts import CONSENT_CHANGED, MEMBERSHIP_ENDED, ROLE_CHANGED

# Of the log's own sources, those whose events somebody of our staff brought about.
SOURCES = frozenset({"staff", "import"})
SENTENCES: Mapping[str, str] = {
    UNBLOCKED: "{by} unblocked {setup}: its reminders go on.",
    STOPPED: "{by} stopped {setup}: nothing more is sent about it.",
    RESTARTED: "{by} let {setup} go on after the stop.",
    PLACED: "{by} placed “{name}”: it belongs to {setup}.",
    ATTRIBUTED: "{by} placed “{name}”: it belongs to this account.",
    HOLD_STARTED: "{by} took an alert: reminders about {setup} wait meanwhile.",
    HOLD_ENDED: "An alert was closed or given back: reminders about {setup} go on.",
    ROLE_CHANGED: "{by} changed the role of {member} from {before} to {role}.",
    CONSENT_CHANGED: "{by} noted that {member} wants {help}.",
    MEMBERSHIP_ENDED: "{by} noted that {member} is in this account no more.",
    ACCOUNT_PAUSED: "{by} paused the account: nothing is sent to anybody in it.",
    ACCOUNT_RESUMED: "{by} let sending to the account go on.",
    ACCOUNTS_MERGED: "{by} merged the account “{name}” into this one.",
    PEOPLE_MERGED: "{by} noted that “{name}” and {member} are the same person.",
    imported.PLAN_CHANGED: "{by} imported the plan {plan}; it was {plan_before}.",
    imported.ACCOUNT_CLOSED: "{by} imported that the account was closed.",
    imported.ACCOUNT_REOPENED: "{by} imported that the account is open again.",
    imported.OUTREACH_ALLOWED: "{by} imported that admins who did not start the setup may be written to.",
    imported.OUTREACH_REFUSED: "{by} imported that admins who did not start the setup are not written to.",
    imported.MEMBER_ADDED: "{by} imported {member} into this account, with the role {role}.",
    imported.ROLE_CHANGED: "{by} imported the role {role} for {member}; it was {before}.",
    imported.MEMBERSHIP_ENDED: "{by} imported that {member} is in this account no more.",
    imported.MEMBERSHIP_RESUMED: "{by} imported that {member} is in this account again.",
}

# How a hold ended, where the log says who ended it.
HOLD_ENDED_BY: Mapping[str, str] = {
    "resolved": "{by} resolved an alert: reminders about {setup} go on.",
    "given_back": "{by} gave an alert back: reminders about {setup} go on.",
}
# A hold that began because a customer wrote, not because a colleague took an alert.
HELD_BY_REPLY = "A customer replied: reminders about {setup} wait until that is dealt with."


def in_words(
    event: Event, people: Mapping[int, str], setups: Mapping[int, str], roles: Mapping[str, str]
) -> str:
    """One sentence about an event of one of `SOURCES`; nothing where we have no words for it."""
    told = event.properties
    before, role = (str(told.get(key) or "unknown") for key in ("before", "role"))
    sentence = SENTENCES.get(event.name, "")
    if event.name == HOLD_STARTED and told.get("because") == "reply":
        sentence = HELD_BY_REPLY
    if event.name == HOLD_ENDED and told.get("by"):
        sentence = HOLD_ENDED_BY.get(str(told.get("how")), sentence)
    return sentence.format(
        by=told.get("by") or "A colleague",
        setup=setups.get(told.get("setup_id") or 0, "every setup here"),
        member=people.get(event.person_id or 0, "somebody"),
        name=told.get("name") or "a success",
        before=roles.get(before, before),
        role=roles.get(role, role),
        plan=told.get("plan") or "none",
        plan_before=told.get("plan_before") or "none",
        help="setup help" if told.get("given") else "no more setup help",
    )
