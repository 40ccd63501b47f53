"""Other clients' words for the same messages, put into Segment's."""

from typing import Any

from events.calls import SET, SET_ONCE


def from_posthog(message: Any) -> Any:
    """A message of a PostHog client as a Segment message; anything else unchanged."""
    if not isinstance(message, dict) or "userId" in message:
        return message
    properties = message.get("properties")
    properties = dict(properties) if isinstance(properties, dict) else {}
    person = message.get("distinct_id", properties.pop("distinct_id", None))
    if person is None:
        return message
    said = {
        key: value
        for key, value in message.items()
        if key not in ("distinct_id", "uuid", "event", "properties", SET, SET_ONCE)
    }
    said |= {"userId": person, "messageId": message.get("messageId") or message.get("uuid")}
    # Their libraries write these beside the properties, among them, or both.
    for key in (SET, SET_ONCE):
        given = [properties.pop(key, None), message.get(key)]
        if objects := [each for each in given if isinstance(each, dict)]:
            said[key] = {**objects[0], **objects[-1]}
    name = message.get("event")
    if name in ("$identify", "$set"):
        anonymous = properties.pop("$anon_distinct_id", None)
        groups = {"context": {"groups": properties["$groups"]}} if "$groups" in properties else {}
        traits = said.pop(SET, None)
        return {**said, **groups, "type": "identify", "traits": traits, "anonymousId": anonymous}
    if name == "$groupidentify":
        # Its distinct_id is made up from the group, and nobody's.
        said.pop("userId")
        return {
            **said,
            "type": "group",
            "groupId": properties.get("$group_key"),
            "traits": properties.get("$group_set"),
        }
    if name == "$create_alias":
        return {**said, "type": "alias", "previousId": person, "userId": properties.get("alias")}
    if name in ("$pageview", "$screen"):
        kind = "page" if name == "$pageview" else "screen"
        title = properties.get("$screen_name") or properties.get("$current_url")
        return {**said, "type": kind, "name": title, "properties": properties}
    return {**said, "type": "track", "event": name, "properties": properties}
