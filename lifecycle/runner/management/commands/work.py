"""`manage.py work`: everything that runs in the background, in one command. Ctrl-C stops it."""

from typing import Any

from django.core.management.base import BaseCommand

from lifecycle.runner.supervisor import Supervisor


class Command(BaseCommand):
    help = "Run the background work: look at accounts, send mail, watch that it progresses."

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write("Working. Ctrl-C stops it.")
        Supervisor().run()
        self.stdout.write("Stopped.")
