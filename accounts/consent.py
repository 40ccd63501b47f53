"""What people said about the kinds of mail they want."""

from collections.abc import Iterable
from datetime import datetime

from accounts.models import Consent


def withdraw(person_ids: Iterable[int], category: str, *, source: str, now: datetime) -> None:
    """These people want no mail of this kind any more; an older word of theirs is replaced."""
    Consent.objects.bulk_create(
        [
            Consent(person_id=pk, category=category, given=False, source=source[:120], at=now)
            for pk in sorted(set(person_ids))
        ],
        update_conflicts=True,
        unique_fields=["person", "category"],
        update_fields=["given", "source", "at"],
    )
