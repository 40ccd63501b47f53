"""One person known under two ids: what merging them does, to be read beforehand, and the merge itself."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction

from accounts.models import AnonymousId, Consent, Membership, Person, User
from events import calls, identities, log, merging
from events.models import Event
from lifecycle.runner.merging.accounts import Line, standing
from lifecycle.runner.models import StepRun
from messaging.models import Message

MERGED = "staff_people_merged"


class Refusal(StrEnum):
    """Why two people are not merged, in words for whoever asked for it."""

    SAME = "That is the same person."
    OTHER_WORLD = (
        "One of them is of the test environment, and test people stay apart from production."
    )
    MERGED_ALREADY = "They are one already."
    OTHER_IS_MERGED = "The other one was itself merged into a third person; merge with that one."
    CHANGED = "Something changed meanwhile. Look at what would happen now."


@dataclass(frozen=True)
class Merge:
    """Exactly what merging does."""

    loser: Person
    winner: Person
    memberships: tuple[Line, ...]
    consents: tuple[Line, ...]
    anonymous_ids: tuple[str, ...]
    steps: tuple[str, ...]
    """What they got under the id that goes, and so do not get again."""
    email: str
    """Where mail goes from now on."""
    events: int
    mails: int

    @property
    def token(self) -> str:
        """The same while the same would happen; events, which keep coming, and mails left aside."""
        said = (
            self.loser.pk, self.winner.pk, self.memberships, self.consents, self.anonymous_ids,
            self.steps, self.email,
        )  # fmt: skip
        return hashlib.sha256(repr(said).encode()).hexdigest()


def refusal(loser: Person, winner: Person) -> Refusal | None:
    """Why these two cannot be merged; None where they can."""
    if loser.pk == winner.pk:
        return Refusal.SAME
    if loser.environment != winner.environment:
        return Refusal.OTHER_WORLD
    if loser.merged_into_id is not None:
        return Refusal.MERGED_ALREADY
    return Refusal.OTHER_IS_MERGED if winner.merged_into_id is not None else None


def preview(loser: Person, winner: Person) -> Merge:
    """What merging does. Takes no lock and writes nothing."""
    ids = AnonymousId.objects.filter(person=loser).order_by("pk")
    steps = StepRun.objects.filter(
        # Whoever was written to is, or was, a member there; the accounts lead to the rows by an index.
        enrolment__account__in=loser.memberships.values("account_id"),
        recipient_key=str(loser.pk),
    ).exclude(status=StepRun.Status.CANCELLED)
    told = steps.select_related("message__template_version__template", "enrolment__setup__account")
    return Merge(
        loser=loser,
        winner=winner,
        memberships=_memberships(loser, winner),
        consents=_consents(loser, winner),
        anonymous_ids=tuple(ids.values_list("value", flat=True)),
        steps=tuple(map(_step, told.order_by("pk"))),
        email=winner.email or loser.email,
        events=_events(loser),
        mails=Message.objects.filter(person=loser).count(),
    )


@transaction.atomic
def merge(loser_id: int, winner_id: int, *, seen: str, by: User, now: datetime) -> Refusal | None:
    """Make one person of two, if that still does what `seen`, a preview's token, stands for.

    None when it was done.
    """
    rows = Person.objects.in_bulk([loser_id, winner_id])
    # As an alias does: whoever is just finding out who these ids are comes before us, or after.
    identities.hold(
        changed=[f"{row.environment}:{row.external_id}" for row in rows.values()], read=[]
    )
    of_both = Membership.objects.filter(person__in=[loser_id, winner_id])
    locked = log.lock(of_both.values_list("account_id", flat=True), now=now)
    rows = Person.objects.in_bulk([loser_id, winner_id])
    loser, winner = rows[loser_id], rows[winner_id]
    if refused := refusal(loser, winner):
        return refused
    decided = preview(loser, winner)
    accounts = set(of_both.values_list("account_id", flat=True))
    if decided.token != seen or accounts != {account.id for account in locked}:
        return Refusal.CHANGED
    rewritten = merging.people(loser_id, winner_id, now=now)
    left = list(Membership.objects.filter(person=winner))
    if len(left) == 1 and left[0].ended_at is None:
        rewritten |= calls.settle({winner_id: left[0].account_id})
    log.mark(locked, changed=accounts, rewritten=rewritten, now=now)
    _tell(decided, sorted({row.account_id for row in left}), by, now)
    return None


def _tell(decided: Merge, accounts: list[int], by: User, now: datetime) -> None:
    loser, winner = decided.loser, decided.winner
    about = {"by": by.get_username(), "name": str(loser), "person_id": loser.external_id}
    log.append(
        [
            log.OwnEvent(
                source="staff",
                message_id=f"{MERGED}:{loser.pk}:{winner.pk}:{account}",
                name=MERGED,
                account_id=account,
                person_id=winner.pk,
                occurred_at=now,
                properties=about,
            )
            for account in accounts
        ],
        now=now,
    )


def _events(loser: Person) -> int:
    """How many stored events change hands: those of the person's accounts, and those without one."""
    mine = Membership.objects.filter(person=loser).values_list("account_id", flat=True)
    in_accounts = Event.objects.filter(account__in=list(mine), person=loser).count()
    return in_accounts + Event.objects.filter(account=None, person=loser).count()


def _memberships(loser: Person, winner: Person) -> tuple[Line, ...]:
    kept = {row.account_id: row for row in winner.memberships.all()}
    lines = []
    for row in loser.memberships.select_related("account").order_by("pk"):
        same = kept.get(row.account_id)
        if same is None:
            lines.append(Line(str(row.account), f"they are in it, {standing(row)}"))
            continue
        before = standing(row)
        merging.join(same, row)
        other = f" (under the id that goes: {before})" if standing(same) != before else ""
        lines.append(Line(str(row.account), f"knows both ids; they stay, {standing(same)}{other}"))
    return tuple(lines)


def _consents(loser: Person, winner: Person) -> tuple[Line, ...]:
    """The newest word counts, whichever id it was given under."""
    kept = {row.category: row for row in Consent.objects.filter(person=winner)}
    lines = []
    for row in Consent.objects.filter(person=loser).order_by("category"):
        same = kept.get(row.category)
        counts = row if same is None or row.at > same.at else same
        word = "is wanted" if counts.given else "is refused"
        lines.append(Line(row.get_category_display(), f"{word}, as said on {counts.at:%d %b %Y}"))
    return tuple(lines)


def _step(run: StepRun) -> str:
    name = str(run.message.template_version.template) if run.message else run.step_key
    return f"{name}, about {run.enrolment.setup}"
