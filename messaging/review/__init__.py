"""Review and publishing of change sets: templates, journeys and shared texts by the same rules.

Approval is bound to a content hash, and nobody approves their own work.
"""

from messaging.review.comments import comment, resolve
from messaging.review.decision import (
    Again,
    Decided,
    publish,
    publish_template,
    refuse_decided,
    request_changes,
    take_turns,
)
from messaging.review.proposal import Proposal, frozen_of, members_of, propose, proposed
from messaging.review.rules import NotAllowed, content_hash
from messaging.review.submission import submit, withdraw

__all__ = [
    "Again",
    "Decided",
    "NotAllowed",
    "Proposal",
    "comment",
    "content_hash",
    "frozen_of",
    "members_of",
    "propose",
    "proposed",
    "publish",
    "publish_template",
    "refuse_decided",
    "request_changes",
    "resolve",
    "submit",
    "take_turns",
    "withdraw",
]
