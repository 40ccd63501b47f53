"""`manage.py staff_roles`: make the groups of staff roles what accounts.staff says. Runs any number of times."""

from typing import Any

from accounts.migrated import MigratedCommand
from accounts.staff import make_roles


class Command(MigratedCommand):
    help = "Creates or corrects the group of every staff role."

    def handle(self, *args: Any, **options: Any) -> None:
        for role, number in make_roles().items():
            self.stdout.write(f"{role}: {number} permissions")
