"""One message of a client, read: an `Entry` for the log, or `Refused` with the reason.

Only what makes an event unusable is refused. Everything else that is wrong with it is written
down in `problems` and the event is kept.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from events import moments
from events.models import Actor

ID_LENGTH = 255
# From here on a number has more digits than an id may have.
NO_ID_FROM = 10**ID_LENGTH
MESSAGE_ID_LENGTH = 100
NAME_LENGTH = 200
TYPES = frozenset({"track", "identify", "group", "page", "screen", "alias"})
ACTORS = frozenset(Actor.values)
# Where a track without groupId names its account, in this order.
ACCOUNT_PROPERTIES = ("account_id", "company_id")
# Which of PostHog's group types is the account.
ACCOUNT_GROUPS = ("account", "company", "organization", "workspace", "team")
MEMBER_REMOVED = "member_removed"
# Where `member_removed` names the member, if it is not the one who acted.
MEMBER_PROPERTIES = ("member_id", "memberId", "user_id", "userId")
# These have a column of their own; every other key is kept in `extra`.
COLUMNS = frozenset(
    {
        "type",
        "messageId",
        "event",
        "name",
        "properties",
        "traits",
        "anonymousId",
        "historical",
        "writeKey",
    }
)
# A resend of a message without an id differs in these alone.
CHANGES_ON_RESEND = frozenset({"sentAt", "receivedAt", "writeKey", "_metadata"})

# What is found only once we know what is planned and which traits mean what.
FOUND_IN_PLACE = ("schema", "bad_email")


class Refused(Exception):
    """The message cannot be stored; `code` and `detail` say why."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


class Entry:
    """A message as the log will hold it, before its account and person are known."""

    __slots__ = (
        "account_id", "actor", "anonymous_id", "extra", "group_id", "historical", "index",
        "member_id", "message_id", "name", "occurred_at", "person_id", "previous_id", "problems",
        "properties", "type", "user_id",
    )  # fmt: skip

    index: int
    message_id: str
    type: str
    name: str
    user_id: str | None
    anonymous_id: str | None
    group_id: str | None
    previous_id: str | None
    member_id: str | None
    actor: str
    occurred_at: datetime
    historical: bool
    properties: dict[str, Any]
    extra: dict[str, Any]
    problems: list[dict[str, str]] | None
    account_id: int | None
    person_id: int | None

    def flag(self, code: str, message: str) -> None:
        """Write down what is wrong with the event, though it is kept."""
        if self.problems is None:
            self.problems = []
        self.problems.append({"code": code, "message": message})

    def begin_again(self) -> None:
        """Forget what was found out about the entry beyond the message itself."""
        self.account_id = self.person_id = None
        if self.problems:
            self.problems = [
                each for each in self.problems if each["code"] not in FOUND_IN_PLACE
            ] or None

    @property
    def is_call(self) -> bool:
        """Does it say something about who is who, and not only that something happened?"""
        return self.type in ("identify", "group", "alias") or self.name == MEMBER_REMOVED


def read(
    message: Any, index: int, *, now: datetime, off: timedelta | None, historical: bool
) -> Entry:
    """The entry for one message. `off` is the batch's clock skew. Raises Refused."""
    if type(message) is not dict:
        raise Refused("not_an_object", "An event must be a JSON object.")
    kind = message.get("type") or message.get("action")
    if type(kind) is not str or kind not in TYPES:
        kind = _kind(message, kind)
    entry = Entry()
    entry.index = index
    entry.type = kind
    entry.problems = None
    entry.account_id = entry.person_id = None
    entry.user_id = _identifier(message.get("userId"), "userId")
    entry.anonymous_id = _identifier(message.get("anonymousId"), "anonymousId")
    entry.previous_id = entry.member_id = None
    context = message.get("context")
    if type(context) is not dict:
        if context is not None:
            entry.flag("context_not_an_object", "context was not an object and could not be read.")
        context = {}
    properties = message.get("traits" if kind in ("identify", "group") else "properties")
    if type(properties) is not dict:
        if properties is not None:
            entry.flag(
                "properties_not_an_object", "properties or traits were not an object; kept apart."
            )
        properties = {}
    entry.properties = properties
    entry.extra = {key: value for key, value in message.items() if key not in COLUMNS}
    if entry.problems and properties == {}:
        entry.extra["unreadable"] = {
            key: message[key] for key in ("properties", "traits") if key in message
        }
    entry.historical = (
        historical or message.get("historical") is True or context.get("historical") is True
    )
    entry.group_id = _account(entry, message, context)
    _by_type(entry, message, context)
    entry.message_id = _message_id(message, kind)
    actor = properties.get("actor") or context.get("actor") or message.get("actor")
    if type(actor) is str and actor in ACTORS:
        entry.actor = actor
    else:
        entry.actor = "user" if entry.user_id or entry.anonymous_id else "system"
    entry.occurred_at = _occurred(entry, message, now, off)
    return entry


def _kind(message: Mapping[str, Any], kind: Any) -> str:
    if type(kind) is str and kind.lower() in TYPES:
        return kind.lower()
    if type(message.get("action")) is str and message["action"] in TYPES:
        return str(message["action"])
    if kind is None and message.get("event"):
        return "track"
    if kind is None:
        raise Refused("type_missing", "The event has no type.")
    raise Refused("unknown_type", f"{str(kind)[:40]!r} is none of: {', '.join(sorted(TYPES))}.")


def _identifier(value: Any, field: str) -> str | None:
    """An id as text; None where there is none. An empty id is none."""
    if value is None:
        return None
    if type(value) is not str:
        # Compared, not converted: an integer may be too large for a float. NaN is below nothing.
        if type(value) not in (int, float) or not abs(value) < NO_ID_FROM:
            raise Refused(
                "bad_id", f"{field} must be text or a number of at most {ID_LENGTH} digits."
            )
        value = str(int(value)) if value == int(value) else str(value)
    value = str(value).strip()
    if len(value) > ID_LENGTH:
        raise Refused("id_too_long", f"{field} is longer than {ID_LENGTH} characters.")
    if "\x00" in value:
        raise Refused("nul_character", f"{field} holds a NUL character.")
    return value or None


def _message_id(message: Mapping[str, Any], kind: str) -> str:
    given = message.get("messageId")
    if type(given) is int:
        given = str(given)
    if type(given) is str and given.strip():
        if len(given) > MESSAGE_ID_LENGTH:
            raise Refused(
                "message_id_too_long",
                f"messageId is longer than {MESSAGE_ID_LENGTH} characters.",
            )
        if "\x00" in given:
            raise Refused("nul_character", "messageId holds a NUL character.")
        return str(given)
    if given is not None and type(given) is not str:
        raise Refused("bad_message_id", "messageId must be text.")
    content = {key: value for key, value in message.items() if key not in CHANGES_ON_RESEND}
    content["type"] = kind
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return "content:" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _account(entry: Entry, message: Mapping[str, Any], context: Mapping[str, Any]) -> str | None:
    """Which account the message itself names, in the contract's order."""
    if entry.type == "group":
        return _identifier(message.get("groupId"), "groupId")
    if found := _named(entry, context.get("groupId"), "context.groupId"):
        return found
    if found := _named(entry, message.get("groupId"), "groupId"):
        return found
    properties = entry.properties
    for key in ACCOUNT_PROPERTIES:
        if found := _named(entry, properties.get(key), key):
            return found
    groups = properties.get("$groups") or context.get("groups")
    if type(groups) is dict:
        for key in ACCOUNT_GROUPS:
            if found := _named(entry, groups.get(key), f"$groups.{key}"):
                return found
    return None


def _named(entry: Entry, value: Any, place: str) -> str | None:
    """An account's id, if that is one. The event may be a completion, so a bad id does not refuse it."""
    if value is None:
        return None
    try:
        return _identifier(value, place)
    except Refused as refused:
        entry.flag("bad_account_id", refused.detail)
        return None


def _by_type(entry: Entry, message: Mapping[str, Any], context: Mapping[str, Any]) -> None:
    """What each type needs beyond the common keys."""
    if entry.type == "track":
        entry.name = _name(message.get("event"))
        if not entry.name:
            raise Refused("event_missing", "A track call needs the name of its event.")
        if entry.name == MEMBER_REMOVED:
            entry.member_id = entry.user_id
            for key in MEMBER_PROPERTIES:
                if value := entry.properties.get(key):
                    entry.member_id = _identifier(value, key)
                    break
        return
    entry.name = ""
    if entry.type == "identify":
        if not (entry.user_id or entry.anonymous_id):
            raise Refused("id_missing", "An identify call needs userId or anonymousId.")
        if type(context.get("traits")) is dict:
            entry.properties = {**context["traits"], **entry.properties}
    elif entry.type == "group":
        if not entry.group_id:
            raise Refused("group_id_missing", "A group call needs groupId.")
    elif entry.type == "alias":
        entry.previous_id = _identifier(message.get("previousId"), "previousId")
        if not (entry.previous_id and entry.user_id):
            raise Refused("previous_id_missing", "An alias call needs previousId and userId.")
    else:
        name = message.get("name") or entry.properties.get("name") or entry.properties.get("title")
        entry.name = str(name or "").replace("\x00", "").strip()[:NAME_LENGTH]


def _name(value: Any) -> str:
    if value is None:
        return ""
    if type(value) is not str:
        raise Refused("bad_name", "The name of an event must be text.")
    name: str = value.strip()
    if "\x00" in name:
        raise Refused("nul_character", "The name of the event holds a NUL character.")
    if len(name) > NAME_LENGTH:
        raise Refused(
            "name_too_long", f"The name of an event is longer than {NAME_LENGTH} characters."
        )
    return name


def _occurred(
    entry: Entry, message: Mapping[str, Any], now: datetime, off: timedelta | None
) -> datetime:
    """Their time, corrected for their clock; ours where theirs is missing or unreadable."""
    value = message.get("timestamp")
    moment = moments.parse(value)
    if moment is None:
        _flag_unreadable(entry, value)
        value = message.get("originalTimestamp")
        moment = moments.parse(value)
    if moment is None:
        _flag_unreadable(entry, value)
        return now
    if off is None and "sentAt" in message:
        off = moments.skew(moments.parse(message["sentAt"]), now)
    try:
        if off:
            moment += off
    except OverflowError:
        entry.flag("bad_timestamp", f"The time {str(value)[:40]!r} is out of range.")
        return now
    if moment > now:
        if moment - now > moments.TOLERANCE:
            entry.flag("in_the_future", f"The time {str(value)[:40]!r} lay in the future.")
        return now
    return moment


def _flag_unreadable(entry: Entry, value: Any) -> None:
    if value is not None and value != "":
        entry.flag("bad_timestamp", f"The time {str(value)[:40]!r} could not be read.")
