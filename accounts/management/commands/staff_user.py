"""`manage.py staff_user NAME --role ROLE`: create a staff user, or change its role or password."""

from getpass import getpass
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from accounts.migrated import MigratedCommand
from accounts.models import User
from accounts.staff import ROLE_NAMES, make_roles, put_user


class Command(MigratedCommand):
    help = "Creates a staff user with a role, or gives an existing one another role or password."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=ROLE_NAMES)
        parser.add_argument("--password", help="Without it you are asked; empty keeps the old one.")
        parser.add_argument("--superuser", action="store_true", help="May do everything.")

    def handle(self, *args: Any, **options: Any) -> None:
        name, password = options["name"], options["password"]
        refuse_unless_usable_name(name)
        if password is None:
            password = ask_for_password(name)
        if password:
            refuse_unless_strong(password, name)
        make_roles()
        user = put_user(
            name, role=options["role"], password=password or None, superuser=options["superuser"]
        )
        self.stdout.write(f"{user.get_username()} is now {options['role']}.")


def refuse_unless_usable_name(name: str) -> None:
    """Raises CommandError for a name that the admin's form would not take either."""
    try:
        User._meta.get_field("username").clean(name, None)
    except ValidationError as error:
        raise CommandError(f"The name {name!r}: {' '.join(error.messages)}") from error


def refuse_unless_strong(password: str, name: str) -> None:
    """Raises CommandError for a password that the admin's form would not take either."""
    try:
        validate_password(
            password, User.objects.filter(username=name).first() or User(username=name)
        )
    except ValidationError as error:
        raise CommandError(f"The password: {' '.join(error.messages)}") from error


def ask_for_password(name: str) -> str:
    """What is typed at the terminal; empty to keep the old one. Raises CommandError where nobody can type."""
    try:
        return getpass(f"Password for {name} (empty: keep): ")
    except EOFError as error:
        raise CommandError(
            "There is nobody to ask for the password here: give it with --password, "
            "or --password '' to leave it as it is."
        ) from error
