"""`manage.py staff_user NAME --role ROLE`: create a staff user, or change its role or password."""

from getpass import getpass
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from accounts.staff import ROLE_NAMES, make_roles, put_user


class Command(BaseCommand):
    help = "Creates a staff user with a role, or gives an existing one another role or password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=ROLE_NAMES)
        parser.add_argument("--password", help="Without it you are asked; empty keeps the old one.")
        parser.add_argument("--superuser", action="store_true", help="May do everything.")

    def handle(self, *args: Any, **options: Any) -> None:
        password = options["password"]
        if password is None:
            password = getpass(f"Password for {options['name']} (empty: keep): ")
        make_roles()
        user = put_user(
            options["name"],
            role=options["role"],
            password=password or None,
            superuser=options["superuser"],
        )
        self.stdout.write(f"{user.get_username()} is now {options['role']}.")
