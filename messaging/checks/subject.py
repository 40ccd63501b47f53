"""What an inbox shows before the mail is opened: subject and preheader."""

from collections.abc import Iterator

from messaging.checks.remark import Remark
from messaging.checks.trial import Trials
from messaging.content import NoSubject
from messaging.rendering import SUBJECT_LIMIT

# Mailchimp, “Best practices for email subject lines”: at most nine words or 60 characters.
SUBJECT_ADVICE = 60
# Email on Acid, “How long should preheader text be?”: phones show 30 to 80 characters, webmail 40 to 120.
PREHEADER_ADVICE = 110
# SpamAssassin's SUBJ_ALL_CAPS; short words such as “API” may stand.
CAPITALS_ADVICE = 10


def subject_length(trials: Trials) -> Iterator[Remark]:
    """A subject that is empty, cut off, or longer than an inbox shows."""
    shorter = "Shorten it; put what matters first."
    for trial in trials.done:
        place = trial.place("subject")
        if trial.composed is None:
            if isinstance(trial.error, NoSubject):
                mend = "Write a subject, and defaults for the variables in it."
                yield Remark(
                    "subject_length", place, str(trial.error), mend, True, sample=trial.sample.name
                )
            continue
        subject, name = trial.mail.subject, trial.sample.name
        if len(subject) == SUBJECT_LIMIT and subject.endswith("…"):
            what = f"The subject is longer than {SUBJECT_LIMIT} characters and is cut off."
            yield Remark("subject_length", place, what, shorter, True, sample=name)
        elif len(subject) > SUBJECT_ADVICE:
            what = (
                f"The subject has {len(subject)} characters; "
                f"many inboxes show only the first {SUBJECT_ADVICE}."
            )
            yield Remark("subject_length", place, what, shorter, False, sample=name)


def preheader(trials: Trials) -> Iterator[Remark]:
    """A preheader that is missing, too long, or only repeats the subject."""
    for trial in trials.mails:
        words = trial.mail.preheader
        if not words:
            what = "Without a preheader the inbox shows the mail’s first words instead."
            mend = "Say in one sentence what the subject leaves open."
        elif words.casefold() == trial.mail.subject.casefold():
            what = "The preheader only repeats the subject."
            mend = "Say in one sentence what the subject leaves open."
        elif len(words) > PREHEADER_ADVICE:
            what = (
                f"The preheader has {len(words)} characters; "
                f"inboxes show at most about {PREHEADER_ADVICE}."
            )
            mend = "Shorten it; put what matters first."
        else:
            continue
        place = trial.place("preheader")
        yield Remark("preheader", place, what, mend, False, sample=trial.sample.name)


def shouting(trials: Trials) -> Iterator[Remark]:
    """A subject in capitals or with several exclamation marks, which filters for spam look for."""
    for trial in trials.mails:
        subject = trial.mail.subject
        letters = [char for char in subject if char.isalpha()]
        capitals = len(letters) >= CAPITALS_ADVICE and subject == subject.upper()
        if capitals or subject.count("!") > 1:
            yield Remark(
                "shouting",
                trial.place("subject"),
                "The subject is all capitals." if capitals else "The subject has many “!”.",
                "Write it as you would to a colleague.",
                False,
                sample=trial.sample.name,
            )
