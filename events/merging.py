"""Two ids that turn out to be one: what they did becomes one history, and both ids lead to it."""

from collections.abc import Collection
from datetime import datetime

from django.db.models import Q

from accounts.models import Account, AnonymousId, Consent, Membership, Person
from events.models import Event


def people(loser_id: int, winner_id: int, *, now: datetime) -> set[int]:
    """Make one person into another; the accounts whose stored events changed.

    The caller holds the locks of every account that either belongs to. Merging again, or in a
    circle, changes nothing.
    """
    both = {
        each.pk: each
        for each in Person.objects.filter(pk__in=[loser_id, winner_id])
        .order_by("pk")
        .select_for_update(no_key=True)
    }
    loser, winner = both.get(loser_id), both.get(winner_id)
    if not loser or not winner or loser is winner or loser.merged_into_id or winner.merged_into_id:
        return set()
    accounts = _memberships(loser, winner, now)
    Event.objects.filter(Q(account_id__in=accounts) | Q(account=None), person=loser).update(
        person=winner
    )
    AnonymousId.objects.filter(person=loser).update(person=winner)
    _consents(loser, winner)
    for column in ("email", "name", "time_zone", "language"):
        if not getattr(winner, column):
            setattr(winner, column, getattr(loser, column))
    winner.traits = {**loser.traits, **winner.traits}
    winner.save()
    # One step from any old id to the person, however often it was merged.
    Person.objects.filter(merged_into=loser).update(merged_into=winner)
    loser.merged_into = winner
    loser.save(update_fields=["merged_into"])
    return accounts


def accounts(loser: Account, winner: Account) -> None:
    """Make one account into another: its events, its members, and what only it knew.

    The caller holds the locks of both and of the accounts that the loser had absorbed before, marks
    the winner as rewritten, and places what has only one place now (`only_in`).
    """
    Event.objects.filter(account=loser).update(account=winner)
    kept = {row.person_id: row for row in winner.memberships.all()}
    for row in loser.memberships.all():
        same = kept.get(row.person_id)
        if same is None:
            row.account = winner
            row.save(update_fields=["account"])
            continue
        join(same, row)
        same.save()
        # What remains would look like a second account, which successes could belong to.
        row.delete()
    _account_columns(loser, winner)
    Account.objects.filter(merged_into=loser).update(merged_into=winner)
    Account.objects.filter(pk=loser.pk).update(merged_into=winner, next_look_at=None)


def join(kept: Membership, other: Membership) -> None:
    """Let one membership of a person tell what two told. Its role stays, unless it says nothing any more."""
    over = kept.ended_at is not None and other.ended_at is None
    if other.role and (over or not kept.role):
        kept.role, kept.role_since = other.role, other.role_since
        kept.role_said_at = other.role_said_at
    kept.joined_at = min(kept.joined_at, other.joined_at)
    ends = [kept.ended_at, other.ended_at]
    kept.ended_at = None if None in ends else max(at for at in ends if at)
    seen = [at for at in (kept.last_active_at, other.last_active_at) if at]
    kept.last_active_at = max(seen, default=None)


def only_in(account_ids: Collection[int]) -> list[int]:
    """The people who are in one of these accounts, and never were in any other."""
    here = Membership.objects.current().filter(account__in=account_ids).values("person_id")
    elsewhere = Membership.objects.exclude(account__in=account_ids).values("person_id")
    people = Membership.objects.filter(person__in=here).exclude(person__in=elsewhere)
    return sorted(people.values_list("person_id", flat=True).distinct())


def _account_columns(loser: Account, winner: Account) -> None:
    for column in ("name", "plan", "acquisition_source", "time_zone", "language"):
        if not getattr(winner, column):
            setattr(winner, column, getattr(loser, column))
    if winner.value is None:
        winner.value = loser.value
    winner.traits = {**loser.traits, **winner.traits}
    winner.created_at = min(winner.created_at, loser.created_at)
    # Where staff silenced one of the two, its people must not get mail by way of the other.
    winner.paused_at = winner.paused_at or loser.paused_at
    winner.admin_outreach = winner.admin_outreach and loser.admin_outreach
    winner.save(
        update_fields=[
            "name", "plan", "acquisition_source", "time_zone", "language", "value", "traits",
            "created_at", "paused_at", "admin_outreach",
        ]
    )  # fmt: skip


def _memberships(loser: Person, winner: Person, now: datetime) -> set[int]:
    """Carry the memberships over; the accounts they are in."""
    kept = {each.account_id: each for each in Membership.objects.filter(person=winner)}
    accounts = set()
    for row in Membership.objects.filter(person=loser):
        accounts.add(row.account_id)
        same = kept.get(row.account_id)
        if same is None:
            row.person = winner
            row.save(update_fields=["person"])
            continue
        join(same, row)
        same.save()
        if row.ended_at is None:
            row.ended_at = now
            row.save(update_fields=["ended_at"])
    return accounts


def _consents(loser: Person, winner: Person) -> None:
    """The newest word on each kind of mail counts, whichever id it was given under."""
    kept = {each.category: each for each in Consent.objects.filter(person=winner)}
    for row in Consent.objects.filter(person=loser):
        same = kept.get(row.category)
        if same is None:
            row.person = winner
            row.save(update_fields=["person"])
        elif row.at > same.at:
            same.given, same.at, same.source = row.given, row.at, row.source
            same.save(update_fields=["given", "at", "source"])
