"""A new journey: from a copy of another, or with nothing but a start, as a draft."""

import copy
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from django import forms
from django.db import transaction
from django.http.response import HttpResponseBase
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_http_methods

from accounts.models import User
from lifecycle.journeys.drafting import JOURNEYS, problems
from lifecycle.journeys.models import Journey, JourneyVersion
from lifecycle.pages.access import StaffRequest, staff
from lifecycle.pages.journey_editing.rights import EDIT
from lifecycle.pages.screen import screen
from messaging import drafts
from messaging.models import VersionStatus


class NewJourney(forms.ModelForm):  # type: ignore[type-arg]
    copy_of = forms.ModelChoiceField(
        Journey.objects.order_by("name"),
        required=False,
        label="Copy of",
        empty_label="None: begin with a start alone",
        help_text="Its newest live version, or its draft. Both send the same e-mails until you choose others.",
    )

    class Meta:
        model = Journey
        fields: ClassVar = ["name", "key", "integration_type", "sender"]
        help_texts: ClassVar = {
            "name": "As colleagues find it in lists, such as “Warehouse setup”.",
            "key": "It stands in addresses and in the record, and stays: warehouse.",
            "integration_type": "As your events name it. Two drafts may have one type, but one journey at "
            "most is live for it.",
            "sender": "Who its e-mails come from.",
        }

    def clean_key(self) -> str:
        key: str = self.cleaned_data["key"]
        if key == "new":
            raise forms.ValidationError("The page for a new journey has this name.")
        return key


def skeleton(journey: Journey) -> dict[str, Any]:
    """A document with a start alone, for everything else to be added."""
    test = {"property": "integration_type", "op": "eq", "value": journey.integration_type}
    return {
        "key": journey.key,
        "name": journey.name,
        "integration_type": journey.integration_type,
        "integration_name": journey.name,
        "path": {
            "start": [{"event": "integration_started", "where": [test]}],
            "milestones": [],
            "usable": [],
            "errors": [],
            "target_minutes": 60,
            "activation": {"event": "first_workflow_launched", "name": "launch the first workflow"},
        },
        "stages": [{"key": "started", "name": "Started", "when": {"kind": "always"}, "steps": []}],
    }


def copied(document: dict[str, Any], journey: Journey) -> dict[str, Any]:
    """The document under the new journey's names; what starts the old type's path starts the new type's."""
    new = copy.deepcopy(document)
    old_type = new["integration_type"]
    for match in new["path"]["start"]:
        for test in match.get("where") or ():
            if test["property"] == "integration_type" and test.get("value") == old_type:
                test["value"] = journey.integration_type
    names = {"key": journey.key, "name": journey.name}
    return {**new, **names, "integration_type": journey.integration_type}


def begin(
    journey: Journey, *, by: User, now: datetime, document: dict[str, Any] | None = None
) -> JourneyVersion:
    """The journey's unfinished version, or a new draft: of the live one, else of this document."""
    kind = replace(JOURNEYS, empty=document or skeleton(journey))
    version: JourneyVersion = drafts.begin(journey, by=by, now=now, kind=kind)
    return version


def document_of(journey: Journey) -> dict[str, Any] | None:
    """What a copy begins with: the live version's document, else the newest that can be read."""
    rows = sorted(
        journey.versions.order_by("-number"), key=lambda row: row.status != VersionStatus.LIVE
    )
    return next((row.document for row in rows if not problems(row.document)), None)


@require_http_methods(["GET", "POST"])
@staff(EDIT)
def new_journey(request: StaffRequest) -> HttpResponseBase:
    form = NewJourney(request.POST or None, initial={"copy_of": request.GET.get("copy_of")})
    if request.method == "POST" and form.is_valid():
        original = form.cleaned_data["copy_of"]
        document = document_of(original) if original else None
        with transaction.atomic():
            journey = form.save()
            copy_of = copied(document, journey) if document else None
            begin(journey, by=request.user, now=timezone.now(), document=copy_of)
        return redirect("edit_journey", journey.key)
    status = 422 if form.errors else 200
    return screen(request, "new_journey", {"form": form}, title="New journey", status=status)
