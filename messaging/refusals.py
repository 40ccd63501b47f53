"""What an error while handing over means: refused for good, refused for now, or unknown.

Only the server's own words make a refusal. A line that breaks before the server can have the whole
mail is a refusal for now; after that the outcome is unknown, and no machine tries again.
"""

import re
import smtplib
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import requests
from anymail.exceptions import (
    AnymailAPIError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)

# RFC 3463: the mailbox or its domain does not exist. Other 5xx may be about us, not about the address.
NO_SUCH_MAILBOX = re.compile(r"\b5\.1\.(?:1|2|3|6|10)\b")
NO_SUCH_MAILBOX_REASON = "no_such_mailbox"
# Our credentials or our configuration, whoever the mail is for.
OUR_FAULT_HTTP = {401, 403, 404, 405}
FOR_NOW_HTTP = {429, 503}
OUR_FAULT_SMTP = {530, 534, 535, 538}
# Amazon SES says so by name: https://docs.aws.amazon.com/ses/latest/APIReference-V2/CommonErrors.html
FOR_NOW_SES = {"TooManyRequestsException", "LimitExceededException", "ThrottlingException", "Throttling", "ServiceUnavailable"}  # fmt: skip
OUR_FAULT_SES = {"AccessDeniedException", "InvalidClientTokenId", "UnrecognizedClientException", "SendingPausedException", "AccountSuspendedException", "MailFromDomainNotVerifiedException", "ExpiredToken"}  # fmt: skip
REFUSED_SES = {"MessageRejected", "BadRequestException", "NotFoundException"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one hand-over failed. `our_fault` means that every other mail would fare the same."""

    outcome: Literal["failed", "temporary", "uncertain"]
    reason: str
    words: str
    our_fault: bool = False
    wait: timedelta | None = None


def words_of(error: BaseException) -> str:
    """What the server or the library said, short and printable."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        error = smtplib.SMTPResponseException(*next(iter(error.recipients.values())))
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        text = f"{error.smtp_code} {text}"
    else:
        text = str(error) or type(error).__name__
    return "".join(char if char.isprintable() else " " for char in text)[:1000]


def judge(error: Exception, *, handed_over: bool | None) -> Verdict:
    """What the error means. `handed_over` is what SMTP knows about its progress; None for HTTP providers."""
    words = words_of(error)
    if isinstance(error, smtplib.SMTPException):
        return _smtp(error, words, bool(handed_over))
    if isinstance(error, AnymailRecipientsRefused):
        return Verdict("failed", "refused", words)
    if isinstance(error, AnymailInvalidAddress):
        return Verdict("failed", "bad_address", words)
    if isinstance(error, AnymailUnsupportedFeature | AnymailSerializationError):
        return Verdict("failed", "not_supported", words, our_fault=True)
    if isinstance(error, AnymailAPIError):
        return _http(error, words)
    if isinstance(error, OSError):
        if handed_over is False:
            return Verdict("temporary", "connection_broke", words)
        return Verdict("uncertain", "connection_broke", words)
    outcome: Literal["failed", "uncertain"] = "failed" if handed_over is False else "uncertain"
    return Verdict(outcome, "unexpected_error", f"{type(error).__name__}: {words}")


def judge_answer(status: Any) -> Verdict | None:
    """What a provider that raised no error said about the recipient; None where it took the mail."""
    told: set[str] = set(getattr(status, "status", None) or ())
    if status is None or getattr(status, "esp_response", None) is None or told & {"sent", "queued"}:
        return None
    words = f"The provider calls it {', '.join(sorted(map(str, told))) or 'nothing'}."
    if told and told <= {"invalid", "rejected", "failed"}:
        return Verdict("failed", "refused", words)
    return Verdict("uncertain", "unclear_answer", words)


def judge_opening(error: Exception) -> Verdict:
    """What it means that no connection came about: nothing was sent, so it is always for now."""
    words = words_of(error)
    our_fault = isinstance(error, smtplib.SMTPAuthenticationError | smtplib.SMTPNotSupportedError)
    return Verdict("temporary", "no_connection", words, our_fault=our_fault)


def _smtp(error: smtplib.SMTPException, words: str, handed_over: bool) -> Verdict:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code = next(iter(error.recipients.values()))[0]
    elif isinstance(error, smtplib.SMTPResponseException):
        code = error.smtp_code
        if handed_over and not isinstance(error, smtplib.SMTPDataError):
            # smtplib makes up a code when it cannot read the answer; that is no refusal.
            code = -1
    elif isinstance(error, smtplib.SMTPNotSupportedError):
        return Verdict("failed", "not_supported", words)
    else:
        code = -1
    if 400 <= code < 500:
        return Verdict("temporary", "refused_for_now", words)
    if code in OUR_FAULT_SMTP:
        return Verdict("temporary", "refused_for_now", words, our_fault=True)
    if 500 <= code < 600:
        if NO_SUCH_MAILBOX.search(words):
            return Verdict("failed", NO_SUCH_MAILBOX_REASON, words)
        return Verdict("failed", "refused", words)
    if handed_over:
        return Verdict("uncertain", "connection_broke", words)
    return Verdict("temporary", "connection_broke", words)


def _http(error: AnymailAPIError, words: str) -> Verdict:
    status = error.status_code
    if status is None:
        if isinstance(error.response, dict):
            return _ses(error.response, words)
        if never_left(error):
            return Verdict("temporary", "no_connection", words)
        return Verdict("uncertain", "connection_broke", words)
    if status in FOR_NOW_HTTP:
        return Verdict("temporary", "refused_for_now", words, wait=retry_after(error.response))
    if status in OUR_FAULT_HTTP:
        return Verdict("temporary", "refused_for_now", words, our_fault=True)
    if 400 <= status < 500 and status != 408:
        return Verdict("failed", "refused", words)
    # A 500 may come after the mail was queued, and so may an answer that we cannot read.
    return Verdict("uncertain", "unclear_answer", words)


def _ses(response: dict[str, Any], words: str) -> Verdict:
    code = str((response.get("Error") or {}).get("Code", ""))
    if code in FOR_NOW_SES:
        return Verdict("temporary", "refused_for_now", words)
    if code in OUR_FAULT_SES:
        return Verdict("temporary", "refused_for_now", words, our_fault=True)
    if code in REFUSED_SES:
        return Verdict("failed", "refused", words)
    return Verdict("uncertain", "unclear_answer", words)


def never_left(error: BaseException) -> bool:
    """Whether the request cannot have reached the provider: no connection was made."""
    if isinstance(error, requests.ConnectTimeout):
        return True
    seen: BaseException | None = error
    while seen is not None:
        inner: list[Any] = [seen, *(arg for arg in seen.args if isinstance(arg, BaseException))]
        inner += [getattr(one, "reason", None) for one in inner]
        names = {type(one).__name__ for one in inner}
        if names & {"NewConnectionError", "NameResolutionError", "ConnectTimeoutError", "EndpointConnectionError"}:  # fmt: skip
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def retry_after(response: Any) -> timedelta | None:
    """The wait that the provider asks for, at most an hour."""
    told = str(getattr(response, "headers", {}).get("Retry-After", ""))
    return timedelta(seconds=min(int(told[:9]), 3600)) if told.isdecimal() else None
