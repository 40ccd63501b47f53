"""Who wrote a mail that came in: which person, or a machine (out-of-office notes, receipts, bounces)."""

import re

from anymail.exceptions import AnymailInvalidAddress
from anymail.inbound import AnymailInboundMessage
from anymail.utils import EmailAddress

# Mail systems' names for "a machine wrote this" beside RFC 3834's own.
MACHINE_HEADERS = ("X-Autoreply", "X-Autorespond", "X-Auto-Reply", "X-AutoReply-From", "X-Mail-Autoreply")  # fmt: skip
# RFC 3834, 2: answers carry these. "list" is left out: a person may write from a group's address.
MACHINE_PRECEDENCE = {"bulk", "junk", "auto_reply", "auto-reply"}
ROBOTS = re.compile(r"^(?:mailer-daemon|postmaster)@", re.IGNORECASE)
# The beginnings that common mail programs give such notes, in the languages of many customers. A
# person who answers one begins with "Re:".
SUBJECT = re.compile(
    r"""^\s*(?:\[[^\]]*\]\s*)?(?:
        auto(?:mat(?:ic|ed|ed\ email))?[\s-]?(?:reply|response|answer)\b | auto:\s
        | out\ of\ (?:the\ )?office | ooo\b | away\ from\ (?:the\ )?office | on\ (?:vacation|holiday|leave)\b
        | automatische\ antwort | abwesenheit | ich\ bin\ (?:nicht\ im\ b(?:ü|ue)ro|abwesend)
        | r(?:é|e)ponse\ automatique | absen(?:t|ce)\ du\ bureau | message\ d['’]absence
        | respuesta\ autom(?:á|a)tica | fuera\ de\ (?:la\ )?oficina | ausente\ de\ la\ oficina
        | resposta\ autom(?:á|a)tica | fora\ do\ escrit(?:ó|o)rio
        | risposta\ automatica | fuori\ (?:sede|ufficio)
        | automatisch\ antwoord | afwezig | autosvar | automaattinen\ vastaus | odpowied(?:ź|z)\ automatyczna
        | 自動(?:応答|返信) | 自动(?:回复|答复) | 자동\ ?(?:회신|응답)
        | undeliver(?:able|ed) | delivery\ (?:status\ notification|has\ failed) | mail\ delivery\ (?:failed|failure|system)
        | returned\ mail | failure\ notice | read:\s | gelesen:\s
    )""",
    re.IGNORECASE | re.VERBOSE,
)


def entries(message: AnymailInboundMessage, header: str) -> list[EmailAddress]:
    """The addresses in that field; none where it cannot be read, for a mail with a bad field is a mail too."""
    try:
        return list(message.get_address_header(header))
    except AnymailInvalidAddress:
        return []


def why_automatic(message: AnymailInboundMessage) -> str:
    """What shows that no person wrote it; empty where nothing does."""
    submitted = str(message.get("Auto-Submitted", "no")).partition(";")[0].strip().lower()
    if submitted not in ("", "no"):
        return "Auto-Submitted"
    if str(message.get("Precedence", "")).strip().lower() in MACHINE_PRECEDENCE:
        return "Precedence"
    for header in MACHINE_HEADERS:
        if str(message.get(header, "no")).strip().lower() not in ("", "no", "false", "0"):
            return header
    return_path = message.get("Return-Path")
    if message.envelope_sender in ("", "<>") or str(return_path).strip() == "<>":
        return "empty return path"
    if message.get_content_type() == "multipart/report":
        return "report"
    if any(ROBOTS.match(sender.addr_spec) for sender in entries(message, "From")):
        return "mail system"
    if SUBJECT.match(str(message.subject or "")):
        return "subject"
    return ""
