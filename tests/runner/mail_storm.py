"""Mail on a database that something happens to: `python -m tests.runner.mail_storm prepare COUNT`, or `deliver`."""

import os
import sys
import time
import uuid
from datetime import timedelta


def prepare(count: int) -> None:
    """So many accounts, each with a first reminder that is due."""
    from django.utils import timezone

    from accounts.models import Account
    from events.models import Event
    from lifecycle.journeys.models import JourneyVersion
    from messaging.models import SendingDomain
    from tests.bench.rows import population, publish_blueprint

    now = timezone.now()
    if not JourneyVersion.objects.filter(status="live").exists():
        publish_blueprint(now)
    SendingDomain.objects.update(rate_per_second=100_000, burst=100_000, tokens=100_000)
    known = population(count)
    Event.objects.bulk_create(
        [
            Event(
                source="storm", message_id=uuid.uuid4().hex, type="track", name="integration_started",
                account_id=account, person_id=person, occurred_at=now - timedelta(minutes=21),
                received_at=now, extra={},
                properties={"integration_type": "api", "provider": "stripe"},
            )
            for _, account, _, person in known
        ]
    )  # fmt: skip
    Account.objects.filter(pk__in=[account for _, account, _, _ in known]).update(next_look_at=now)


def deliver() -> None:
    """Look at everybody and hand over until nothing is queued, whatever becomes of the database meanwhile."""
    from django.db import DatabaseError, connection
    from django.utils import timezone

    from accounts.models import Account
    from lifecycle.runner.deliver import deliver as hand_over
    from lifecycle.runner.look import look_at
    from messaging import outbox
    from messaging.models import Message

    look_at(list(Account.objects.values_list("pk", flat=True)), now=timezone.now())
    while True:
        try:
            if due := outbox.lease_due(timezone.now(), 100, hold=timedelta(milliseconds=500)):
                hand_over(due, clock=timezone.now)
            elif not Message.objects.filter(status="queued").exists():
                return
            else:
                time.sleep(0.1)
        except DatabaseError:
            connection.close()
            time.sleep(0.1)


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lifecycle.settings")
    import django

    django.setup()
    if sys.argv[1] == "prepare":
        prepare(int(sys.argv[2]))
    else:
        deliver()


if __name__ == "__main__":
    main()
