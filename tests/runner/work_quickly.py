"""`manage.py work` with little patience, for tests that kill its processes."""

import os
import sys
from datetime import timedelta


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lifecycle.settings")
    import django

    django.setup()
    from django.core.management import execute_from_command_line

    from lifecycle.runner import health, supervisor

    # Longer than the queue takes to start on a busy machine.
    health.NO_PROGRESS = timedelta(seconds=8)
    supervisor.WATCH_EVERY = timedelta(seconds=0.5)
    supervisor.PULSE_EVERY = timedelta(seconds=0.5)
    supervisor.STOP_WITHIN_SECONDS = 4
    # What the supervisor starts its workers with.
    sys.argv = ["manage.py", "work"]
    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
