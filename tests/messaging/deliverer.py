"""A process that delivers from the outbox, made to be killed.

Reads commands from its standard input: `go` forks a child that delivers until nothing is due and
prints the child's process id. Forking saves the start of Python, so that many kills take little time.
"""

import os
import signal
import sys
import uuid
from datetime import timedelta


def deliver(group: int = 8) -> None:
    """The smallest delivery loop: lease, claim with a receipt, hand over."""
    from django.db import transaction
    from django.utils import timezone

    from messaging import outbox, sending
    from messaging.models import Message

    owner = f"{os.getpid()}-{uuid.uuid4().hex[:8]}"
    while ids := outbox.lease_due(timezone.now(), group, hold=timedelta(milliseconds=300)):
        with transaction.atomic():
            rows = Message.objects.filter(pk__in=ids, status="queued").order_by("pk")
            rows = rows.select_for_update(of=("self",))
            claims = [outbox.Claim(row.pk, {"why": "test"}, row.context) for row in rows]
            claimed = outbox.claim(
                claims, owner=owner, now=timezone.now(), lease=timedelta(seconds=60)
            )
        sending.hand_over(claimed, owner=owner, clock=timezone.now)


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lifecycle.settings")
    django.setup()
    from django.core.mail.utils import DNS_NAME

    import messaging.sending  # noqa: F401 - before the fork, so that children need not

    DNS_NAME.get_fqdn()

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    for line in sys.stdin:
        if line.strip() != "go":
            continue
        child = os.fork()
        if child == 0:
            try:
                deliver()
            finally:
                os._exit(0)
        os.write(1, f"{child}\n".encode())


if __name__ == "__main__":
    main()
