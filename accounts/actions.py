"""What an action in the admin says when it is done."""

from django.contrib import messages
from django.http import HttpRequest


def report(request: HttpRequest, done: int, did: str, skipped: int = 0, why: str = "") -> None:
    """Say how many rows an action changed, and why it left the others alone."""
    text = f"{done} {did}"
    if skipped:
        text += f", {skipped} skipped: {why}"
    messages.info(request, f"{text}.")


def report_each(request: HttpRequest, done: list[bool], *, did: str, skipped: str) -> None:
    """The same from what a verb answered for each row: whether it changed it."""
    changed = sum(done)
    report(request, changed, did, len(done) - changed, skipped)
