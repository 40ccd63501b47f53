"""Tables of accounts and memberships whose imports are told in the accounts' stories.

Only what decides who gets mail is told. It is written in the transaction of the rows, under the same locks.
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from accounts.models import Account, Membership
from accounts.resources import AccountResource, MembershipResource
from accounts.tables import Table
from events import log

PLAN_CHANGED = "import_plan_changed"
ACCOUNT_CLOSED = "import_account_closed"
ACCOUNT_REOPENED = "import_account_reopened"
OUTREACH_ALLOWED = "import_outreach_allowed"
OUTREACH_REFUSED = "import_outreach_refused"
MEMBER_ADDED = "import_member_added"
ROLE_CHANGED = "import_role_changed"
MEMBERSHIP_ENDED = "import_membership_ended"
MEMBERSHIP_RESUMED = "import_membership_resumed"

# What happened, and what there is to say about it.
Fact = tuple[str, dict[str, str]]


class ToldAccounts(AccountResource):
    def write(self, now: datetime) -> None:
        super().write(now)
        _tell(
            self,
            (
                (account.pk, None, fact)
                for key, account in self.changed.items()
                for fact in of_account(self.before.get(key), account)
            ),
            now,
        )


class ToldMemberships(MembershipResource):
    def write(self, now: datetime) -> None:
        super().write(now)
        _tell(
            self,
            (
                (member.account_id, member.person_id, fact)
                for key, member in self.changed.items()
                for fact in of_membership(self.before.get(key), member)
            ),
            now,
        )


def of_account(before: Account | None, now: Account) -> Iterator[Fact]:
    """What is worth telling of an account that was imported; `before` is None where it is new."""
    if before and before.plan != now.plan:
        yield PLAN_CHANGED, {"plan_before": before.plan, "plan": now.plan}
    if now.closed_at and (before is None or before.closed_at != now.closed_at):
        yield ACCOUNT_CLOSED, {"closed_at": now.closed_at.isoformat()}
    if before and before.closed_at and not now.closed_at:
        yield ACCOUNT_REOPENED, {}
    if before and before.admin_outreach is not now.admin_outreach:
        yield OUTREACH_ALLOWED if now.admin_outreach else OUTREACH_REFUSED, {}


def of_membership(before: Membership | None, now: Membership) -> Iterator[Fact]:
    """What is worth telling of a membership that was imported; `before` is None where it is new."""
    if before is None:
        yield MEMBER_ADDED, {"role": now.role}
    elif before.role != now.role:
        yield ROLE_CHANGED, {"before": before.role, "role": now.role}
    if now.ended_at and (before is None or before.ended_at is None):
        yield MEMBERSHIP_ENDED, {}
    if before and before.ended_at and not now.ended_at:
        yield MEMBERSHIP_RESUMED, {}


def _tell(table: Table, facts: Iterator[tuple[int, int | None, Fact]], now: datetime) -> None:
    by: Any = {"by": table.user.get_username()} if table.user else {}
    log.append(
        [
            log.OwnEvent(
                source="import",
                message_id=f"{name}:{account}:{person or '-'}:{now.isoformat()}",
                name=name,
                account_id=account,
                person_id=person,
                occurred_at=now,
                properties={**about, **by},
            )
            for account, person, (name, about) in facts
        ],
        now=now,
    )
