"""What each role of our own staff may do: one table, from which the groups are made."""

from collections.abc import Iterable, Mapping

from django.contrib.auth.models import Group, Permission
from django.db import transaction

from accounts.models import User

CUSTOMERS = ("accounts.account", "accounts.person", "accounts.membership", "accounts.consent")
ACCESS = ("accounts.role", "accounts.capability")
PROGRESS = ("journeys.setup", "journeys.enrolment", "runner.steprun", "runner.decision")
JOURNEYS = ("journeys.journey", "journeys.journeyversion")
WORDS = (
    "messaging.template",
    "messaging.templateversion",
    "messaging.snippet",
    "messaging.destination",
)
LINKS = ("messaging.linkhealth",)
SENDING = (
    *LINKS,
    "messaging.message",
    "messaging.attempt",
    "messaging.suppression",
    "messaging.finding",
    "messaging.reply",
)
SENDERS = ("messaging.host", "messaging.sender", "messaging.sendingdomain")
REVIEW = ("messaging.changeset", "messaging.auditentry")
LOG = ("events.event", "events.eventtype")
# To say what became of a message whose outcome no machine knows.
SETTLE = frozenset({"messaging.change_message"})
TROUBLE = ("runner.parkedaccount", "runner.handoff", "runner.pause", "runner.heartbeat")


def view(*models: str) -> set[str]:
    """The permissions to look at rows of these models."""
    return {f"{app}.view_{name}" for app, name in (model.split(".") for model in models)}


def edit(*models: str) -> set[str]:
    """The permissions to look at, add and change rows of these models; deleting is nobody's."""
    return {
        f"{app}.{verb}_{name}"
        for app, name in (model.split(".") for model in models)
        for verb in ("view", "add", "change")
    }


ROLES: Mapping[str, frozenset[str]] = {
    "marketer": frozenset(
        {"pages.see_journeys", "pages.see_numbers", "pages.see_review_queue"}
        | {"messaging.submit_change_set"}
        | view(*REVIEW)
        | edit(*JOURNEYS, *WORDS, "events.eventtype")
        | view(*CUSTOMERS, *PROGRESS, *SENDING, *SENDERS, "alerts.alert")
    ),
    "reviewer": frozenset(
        {"pages.see_review_queue", "pages.see_journeys"}
        | {"messaging.approve_change_set"}
        | view(*REVIEW)
        | view(*JOURNEYS, *WORDS, *LINKS, *SENDERS, "events.eventtype")
    ),
    "support": frozenset(
        {"pages.see_alerts"}
        | edit("alerts.alert")
        | view(*CUSTOMERS, *ACCESS, *PROGRESS, *SENDING, *LOG, "journeys.journey")
        | {"accounts.change_account", "messaging.change_suppression", "messaging.add_suppression"}
        # Whoever sees that wrong mail goes out can stop all of it.
        | {"runner.add_pause", "runner.change_pause"}
        | SETTLE
    ),
    "analyst": frozenset(
        {"pages.see_numbers", "pages.export_events"}
        | view(*JOURNEYS, *PROGRESS, "accounts.account", *SENDING, *LOG)
    ),
    "engineer": frozenset(
        {"pages.see_event_health", "pages.export_events"}
        | edit(
            "events.ingestkey",
            "events.eventtype",
            "events.eventname",
            "events.traitname",
            "events.void",
            "events.rejectedevent",
            *ACCESS,
        )
        | view(*LOG, *CUSTOMERS, *PROGRESS, *SENDING, *SENDERS, *TROUBLE, "messaging.providerevent")
        | SETTLE
    ),
}
ADMINISTRATOR = "administrator"
# Apps whose every permission the administrator has, without being a superuser.
OUR_APPS = ("accounts", "events", "messaging", "journeys", "runner", "alerts", "pages")
ROLE_NAMES = (*ROLES, ADMINISTRATOR)


class UnknownPermission(LookupError):
    """The table names permissions that no installed model declares."""


@transaction.atomic
def make_roles() -> dict[str, int]:
    """Create or correct the group of every role; returns role → number of permissions.

    Raises UnknownPermission when the table and the models disagree.
    """
    rows = Permission.objects.values_list("content_type__app_label", "codename", "pk")
    known = {f"{app}.{codename}": pk for app, codename, pk in rows}
    everything = {name for name in known if name.split(".")[0] in OUR_APPS}
    table = {**ROLES, ADMINISTRATOR: frozenset(everything | {"auth.view_group"})}
    wanted: set[tuple[int, int]] = set()
    groups = []
    for role, names in table.items():
        group, _ = Group.objects.get_or_create(name=role)
        groups.append(group)
        wanted |= {(group.pk, pk) for pk in _keys(names, known)}
    grants = Group.permissions.through._default_manager
    given = {
        (group, permission): pk
        for pk, group, permission in grants.filter(group__in=groups).values_list(
            "pk", "group_id", "permission_id"
        )
    }
    grants.filter(pk__in=[pk for pair, pk in given.items() if pair not in wanted]).delete()
    grants.bulk_create(
        grants.model(group_id=group, permission_id=permission)
        for group, permission in sorted(wanted - given.keys())
    )
    return {role: len(names) for role, names in table.items()}


def _keys(names: Iterable[str], known: Mapping[str, int]) -> list[int]:
    if missing := sorted(set(names) - known.keys()):
        raise UnknownPermission(
            f"No such permission: {', '.join(missing)}. Run `manage.py migrate` first."
        )
    return [known[name] for name in names]


@transaction.atomic
def put_user(name: str, *, role: str, password: str | None, superuser: bool = False) -> User:
    """A staff user with exactly this role, created or updated. Without a password the old one stays."""
    user, created = User.objects.get_or_create(
        username=name, defaults={"email": f"{name}@localhost"}
    )
    user.is_staff, user.is_superuser, user.is_active = True, superuser, True
    if password is not None:
        user.set_password(password)
    elif created:
        user.set_unusable_password()
    user.save()
    user.groups.set([Group.objects.get(name=role)])
    return user
