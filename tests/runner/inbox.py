"""A mail provider in memory that can be down, refuse, or take its caller's process away."""

from typing import Any

from django.core.mail.backends.base import BaseEmailBackend


class Killed(BaseException):
    """The process was killed here; nothing after this point ran."""


class Provider:
    """What arrived, and how the provider behaves."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.is_down = False
        self.kills: str = ""
        self.before: Any = None

    def to(self, *names: str) -> list[str]:
        """The subjects of the mails to these people (or to everybody), in the order of arrival."""
        return [
            mail.subject for mail in self.got if not names or mail.to[0].partition("@")[0] in names
        ]


PROVIDER = Provider()


class Backend(BaseEmailBackend):
    """Django's way to the provider above."""

    def open(self) -> bool:
        if PROVIDER.is_down:
            raise ConnectionRefusedError("nobody listens")
        return True

    def send_messages(self, email_messages: Any) -> int:
        kills, PROVIDER.kills = PROVIDER.kills, ""
        if kills == "before":
            raise Killed
        if PROVIDER.before is not None:
            PROVIDER.before(email_messages)
        PROVIDER.got += email_messages
        if kills == "after":
            raise Killed
        return len(email_messages)
