"""The list of e-mails: what uses each, what is live, who is at work on the next version; and a new one."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from django import forms
from django.core.cache import cache
from django.http import HttpResponse
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods

from lifecycle.journeys import checking
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.editing.rights import EDIT, VIEW
from lifecycle.pages.editing.uses import Use, uses
from lifecycle.pages.screen import screen
from messaging import drafts
from messaging.models import Template, TemplateVersion, VersionStatus
from messaging.review import frozen_of

# A shared text may change what is wrong with a draft that nobody touched.
REMARKS_KEPT_SECONDS = 600
# The list waits no longer for checks; the rest is told the next time.
CHECKS_MAY_TAKE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Listed:
    """One e-mail; `blocking` and `advice` count the remarks on its draft, None while not known."""

    template: Template
    uses: Sequence[Use]
    live: TemplateVersion | None
    draft: TemplateVersion | None
    blocking: int | None = None
    advice: int | None = None

    @property
    def sent_by(self) -> Sequence[str]:
        """The stages that send it, with the number of steps where there are several."""
        counts = Counter((use.name, use.live) for use in self.uses)
        return [
            f"{name}{f', {count} steps' if count > 1 else ''}{'' if live else ' (in a draft)'}"
            for (name, live), count in counts.items()
        ]


def listed() -> Sequence[Listed]:
    """Every e-mail, those of one journey together, in the order of its stages."""
    used = uses()
    rows = TemplateVersion.objects.filter(status__in=[VersionStatus.LIVE, *drafts.UNFINISHED])
    versions: dict[int, dict[bool, TemplateVersion]] = {}
    for row in rows.select_related("saved_by", "change_set").defer("frozen"):
        versions.setdefault(row.template_id, {})[row.status == VersionStatus.LIVE] = row
    found = []
    deadline = time.monotonic() + CHECKS_MAY_TAKE_SECONDS
    for template in Template.objects.order_by("name"):
        pair = versions.get(template.pk, {})
        draft = pair.get(False)
        late = time.monotonic() > deadline
        counts = remark_counts(template.key, draft, late=late) if draft else (None, None)
        found.append(Listed(template, used.get(template.key, ()), pair.get(True), draft, *counts))
    return found


def remark_counts(key: str, draft: TemplateVersion, *, late: bool) -> tuple[int | None, int | None]:
    """How many remarks keep the draft from going live, and how many are advice; ten minutes old at most.

    None where they are not known and it is too late to find out.
    """
    kept = f"remarks:{draft.pk}:{draft.revision}"
    counts: tuple[int, int] | None = cache.get(kept)
    if counts is None and late:
        return None, None
    if counts is None:
        found = checking.check_template(key, draft.content, frozen_of(draft))
        blocking = sum(remark.blocking for remark in found)
        counts = (blocking, len(found) - blocking)
        cache.set(kept, counts, REMARKS_KEPT_SECONDS)
    return counts


@require_GET
@staff(VIEW)
def show_emails(request: StaffRequest) -> HttpResponse:
    context = {"rows": listed(), "may_edit": request.user.has_perm(EDIT)}
    return screen(request, "emails", context, title="E-mails")


class NewEmail(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = Template
        fields: ClassVar = ["name", "key", "description"]
        help_texts: ClassVar = {
            "name": "As colleagues will find it in lists, such as “API 3: blocked by errors”.",
            "key": "Journeys name the e-mail by it, and it cannot change later: api_blocked.",
            "description": "What it is for, in a sentence.",
        }

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if key == "new":
            raise forms.ValidationError("The page for a new e-mail has this name.")
        return key


@require_http_methods(["GET", "POST"])
@staff(EDIT)
def new_email(request: StaffRequest) -> HttpResponseBase:
    form = NewEmail(request.POST or None)
    if request.method == "POST" and form.is_valid():
        template = form.save()
        drafts.begin(template, by=request.user, now=timezone.now())
        return redirect("edit_email", template.key)
    status = 422 if form.errors else 200
    return screen(request, "new_email", {"form": form}, title="New e-mail", status=status)
