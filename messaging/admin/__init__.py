"""The admin's lists of what we say, by subject. Importing this registers them."""

from messaging.admin import addresses, emails, outbox, screens, senders, shared

__all__ = ["addresses", "emails", "outbox", "screens", "senders", "shared"]
