"""The admin's lists of what happened, by subject. Importing this registers them."""

from events.admin import keys, log, plan, refused, voids

__all__ = ["keys", "log", "plan", "refused", "voids"]
