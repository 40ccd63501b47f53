"""The endpoint's addresses, and what a body says that was sent to one of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from events import moments
from events.api import dialects


@dataclass(frozen=True, slots=True)
class Route:
    """One address: the type of its single message, or a batch."""

    path: str
    type: str | None = None
    historical: bool = False
    posthog: bool = False


ROUTES: dict[str, Route] = {
    route.path: route
    for route in (
        Route("/v1/batch"),
        Route("/v1/import", historical=True),
        *(Route(f"/v1/{kind}", kind) for kind in ("track", "identify", "group", "page", "screen", "alias")),
        Route("/sdk/batch"),
        Route("/api/public/apps/batch"),
        Route("/batch", posthog=True),
    )
}  # fmt: skip
# The keys of a batch that are not about its messages.
CREDENTIALS = ("writeKey", "api_key", "write_key")


@dataclass(frozen=True, slots=True)
class Sent:
    """A body as one batch: its messages, the client's clock when it sent, and whether it is the past."""

    messages: list[Any]
    sent_at: datetime | None
    historical: bool


def at(path: str) -> Route | None:
    """The route of a request's path; a slash at its end says nothing."""
    return ROUTES.get(path.rstrip("/"))


def read(content: Any, route: Route) -> Sent:
    """What was sent. The credentials are taken out of it."""
    envelope: dict[str, Any] = content if isinstance(content, dict) else {}
    return Sent(
        messages=_messages(content, route),
        sent_at=moments.parse(envelope.get("sentAt", envelope.get("sent_at"))),
        historical=route.historical or envelope.get("historical") is True,
    )


def _messages(content: Any, route: Route) -> list[Any]:
    """The messages of a request, however wrong: what is no message is refused one by one."""
    if isinstance(content, dict):
        for name in CREDENTIALS:
            content.pop(name, None)
    if route.type is not None:
        if isinstance(content, dict):
            content["type"] = route.type
        return [content]
    if isinstance(content, list):
        messages = content
    elif isinstance(content, dict) and isinstance(content.get("batch"), list):
        messages = content["batch"]
        context = content.get("context")
        if isinstance(context, dict) and context:
            messages = [_in_context(each, context) for each in messages]
    else:
        messages = [content]
    for each in messages:
        if type(each) is dict:
            each.pop("writeKey", None)
    return [dialects.from_posthog(each) for each in messages] if route.posthog else messages


def _in_context(message: Any, context: dict[str, Any]) -> Any:
    """The batch's context holds for every message that does not say otherwise."""
    if type(message) is not dict:
        return message
    own = message.get("context")
    return {**message, "context": {**context, **own} if isinstance(own, dict) else context}
