"""What we say: templates and versions, review, the outbox, addresses and domains."""

from messaging.models.addresses import Address, Suppression
from messaging.models.findings import Finding
from messaging.models.links import LinkHealth
from messaging.models.outbox import Attempt, Message, MessageStatus, ProviderEvent
from messaging.models.replies import Reply
from messaging.models.review import (
    OPEN,
    UNFINISHED,
    AuditEntry,
    ChangeSet,
    Comment,
    Notice,
    Participant,
    Reviewed,
    SharedChange,
    VersionStatus,
)
from messaging.models.senders import Sender, SendingDomain
from messaging.models.templates import Destination, Host, Snippet, Template, TemplateVersion

__all__ = [
    "OPEN",
    "UNFINISHED",
    "Address",
    "Attempt",
    "AuditEntry",
    "ChangeSet",
    "Comment",
    "Destination",
    "Finding",
    "Host",
    "LinkHealth",
    "Message",
    "MessageStatus",
    "Notice",
    "Participant",
    "ProviderEvent",
    "Reply",
    "Reviewed",
    "Sender",
    "SendingDomain",
    "SharedChange",
    "Snippet",
    "Suppression",
    "Template",
    "TemplateVersion",
    "VersionStatus",
]
