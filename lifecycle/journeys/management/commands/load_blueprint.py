"""`manage.py load_blueprint`: load the three journeys, their e-mails and reference data as drafts."""

from typing import Any

from accounts.migrated import MigratedCommand
from lifecycle.journeys import blueprint


class Command(MigratedCommand):
    help = "Load the blueprint's journeys, e-mails and reference data; running it again changes nothing."

    def handle(self, *args: Any, **options: Any) -> None:
        loaded = blueprint.load()
        for kind, number in loaded.created.items():
            self.stdout.write(f"{number:4d} {kind} created")
        points = blueprint.make_it_yours()
        if points:
            self.stdout.write("\nMake it yours before it writes to customers:")
            for point in points:
                self.stdout.write(f"  · {point}")
