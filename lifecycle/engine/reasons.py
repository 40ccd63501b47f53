"""The one vocabulary of reasons that decisions, messages, alerts, pages and tests share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum


class Reason(StrEnum):
    """Why something happens, waits, or does not happen."""

    # yes
    DUE = "due"
    ENTERED = "entered"
    WITHHELD = "withheld"
    # wait
    NOT_YET = "not_yet"
    ACTIVE = "active_in_session"
    OUTSIDE_HOURS = "outside_hours"
    CAP_PERSON = "cap_person"
    CAP_ACCOUNT = "cap_account"
    PAUSED_ALL = "paused_all"
    PAUSED_JOURNEY = "paused_journey"
    PAUSED_ACCOUNT = "paused_account"
    HELD = "held_by_a_person"
    INCIDENT = "incident"
    UNPLACED = "ambiguous_completion"
    BLOCKED = "blocked"
    LINK_BROKEN = "link_broken"
    NOBODY = "nobody_eligible"
    # no
    DONE = "already_done"
    OTHER_STAGE = "other_stage"
    CONDITION = "condition_not_met"
    TOO_LATE = "too_late"
    HISTORICAL = "historical"
    USABLE = "usable"
    CAP_ZERO = "cap_zero"
    CAP_TOO_LATE = "cap_until_too_late"
    RECIPIENT_CHANGED = "recipient_changed"
    STEP_REMOVED = "step_removed"
    # why a person is passed over
    UNKNOWN_PERSON = "unknown_person"
    LEFT = "left_the_account"
    NO_ADDRESS = "no_address"
    SUPPRESSED = "suppressed"
    NO_CONSENT = "no_consent"
    NO_OUTREACH = "no_admin_outreach"
    LACKS_CAPABILITY = "lacks_capability"
    COMPLETED_ELSEWHERE = "completed_elsewhere"
    ALREADY_ASKED = "already_asked"
    BOUNCED_BEFORE = "bounced_before"
    # why a person is chosen
    STARTED_IT = "started_it"
    ABLE_IN_ORDER = "able_in_order"
    FINISHED_IT = "finished_it"
    # why a setup is not, or no longer, on a journey
    NO_JOURNEY = "no_live_journey"
    STARTED_BEFORE = "started_before_publish"
    STARTED_HISTORICALLY = "started_historically"
    ENTRY_RULE = "entry_rule"
    MANUAL_PROVIDER = "manual_provider"
    NO_REENTRY = "no_reentry"
    ALREADY_USABLE = "already_usable"
    CLOSED = "account_closed"
    STOPPED = "stopped_by_staff"
    LATER_STAGE = "later_stage"
    REOPENED = "reopened"
    MERGED = "merged"
    TAKEN_BACK = "events_taken_back"
    FINISHED = "finished"


SENTENCES: Mapping[Reason, str] = {
    Reason.DUE: "It was due and nothing stood against it.",
    Reason.ENTERED: "The setup entered the journey.",
    Reason.WITHHELD: "The account is in the control group, so it was withheld.",
    Reason.NOT_YET: "Its time has not come yet.",
    Reason.ACTIVE: "Somebody is at work on the setup right now.",
    Reason.OUTSIDE_HOURS: "It is outside the hours in which the person gets mail.",
    Reason.CAP_PERSON: "The person has had as many mails as the journey allows for now.",
    Reason.CAP_ACCOUNT: "The account has had as many mails as the journey allows for now.",
    Reason.PAUSED_ALL: "All sending is paused.",
    Reason.PAUSED_JOURNEY: "The journey is paused.",
    Reason.PAUSED_ACCOUNT: "The account is paused.",
    Reason.HELD: "A colleague is taking care of this setup.",
    Reason.INCIDENT: "Many accounts have the same trouble with this provider right now.",
    Reason.UNPLACED: "A success came in that could belong to this setup; it has to be placed first.",
    Reason.BLOCKED: "The setup is blocked by errors, so reminders are silent.",
    Reason.LINK_BROKEN: "A link in the e-mail does not work; it waits until the link works again.",
    Reason.NOBODY: "Nobody in the account can be written to about this.",
    Reason.DONE: "It was done already.",
    Reason.OTHER_STAGE: "The setup is in another stage.",
    Reason.CONDITION: "The step's condition does not hold.",
    Reason.TOO_LATE: "It would have come too late to be of help.",
    Reason.HISTORICAL: "It follows from imported history, which makes no old step due.",
    Reason.USABLE: "The integration is working.",
    Reason.CAP_ZERO: "The journey's limit allows no mail at all.",
    Reason.CAP_TOO_LATE: "The limit on mails allows it only when it would be too late.",
    Reason.RECIPIENT_CHANGED: "Somebody else is the right person by now.",
    Reason.STEP_REMOVED: "The journey no longer has this step.",
    Reason.UNKNOWN_PERSON: "We do not know who this is.",
    Reason.LEFT: "They left the account.",
    Reason.NO_ADDRESS: "They have no e-mail address that mail can be sent to.",
    Reason.SUPPRESSED: "Their address must not get mail.",
    Reason.NO_CONSENT: "They refused this kind of mail.",
    Reason.NO_OUTREACH: "We may not write to colleagues who did not start the setup.",
    Reason.LACKS_CAPABILITY: "Their role does not allow them to do it.",
    Reason.COMPLETED_ELSEWHERE: "They have set this up in another account already.",
    Reason.ALREADY_ASKED: "They were asked before.",
    Reason.BOUNCED_BEFORE: "Mail to them about this bounced.",
    Reason.STARTED_IT: "They started the setup.",
    Reason.ABLE_IN_ORDER: "They are the first in order who can do it.",
    Reason.FINISHED_IT: "They finished it.",
    Reason.NO_JOURNEY: "No live journey is about this kind of integration.",
    Reason.STARTED_BEFORE: "It started before the journey was published.",
    Reason.STARTED_HISTORICALLY: "Its start was imported as history.",
    Reason.ENTRY_RULE: "The journey's entry rule does not let it in.",
    Reason.MANUAL_PROVIDER: "This provider has a manual path: a person takes care.",
    Reason.NO_REENTRY: "The journey does not take a setup twice.",
    Reason.ALREADY_USABLE: "The integration was working before the journey could begin.",
    Reason.CLOSED: "The account was closed.",
    Reason.STOPPED: "Staff stopped it.",
    Reason.LATER_STAGE: "The account is in a later stage already.",
    Reason.REOPENED: "The integration stopped working; a new attempt began.",
    Reason.MERGED: "The account was merged into another.",
    Reason.TAKEN_BACK: "The events that told of this setup were taken back.",
    Reason.FINISHED: "The integration is working and the journey is over.",
}


# How a mail's way ended, in the words that messaging leaves on the message.
ENDS: Mapping[str, str] = {
    "test_environment": "The account belongs to the test environment, from which no mail goes.",
    "not_on_allow_list": "This installation may write only to certain addresses, and this is none of them.",
    "no_such_mailbox": "There is no such mailbox.",
    "refused": "The mail provider refused it.",
    "refused_for_now": "The mail provider refused it for now.",
    "bad_address": "No mail can be addressed to it.",
    "no_connection": "The mail provider could not be reached.",
    "connection_broke": "The connection to the mail provider broke.",
    "render_error": "The e-mail could not be written from its template.",
    "not_supported": "The mail provider cannot send a mail like this.",
    "not_sent": "The mail provider did not take it.",
    "unclear_answer": "The mail provider's answer does not say whether it took it.",
    "unexpected_error": "Something went wrong that nobody had thought of.",
    "lease_ran_short": "There was not enough time left for it.",
    "lease_expired": "The process that was sending it went silent, so it may or may not have gone.",
    "settled_by_hand": "A colleague found out what became of it.",
}


def sentence(reason: str) -> str:
    """The reason in a customer-facing colleague's words; an unknown one as it stands."""
    try:
        return SENTENCES[Reason(reason)]
    except ValueError:
        return ENDS.get(reason) or reason.replace("_", " ").capitalize() + "."
