"""The admin's forms of what e-mails share: what is in use changes through review, not by saving."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold.admin import ModelAdmin

from accounts.models import User
from messaging.models import Destination, Snippet
from messaging.review import NotAllowed, shared

WORDS_FIELD = {Snippet: "body", Destination: "path"}


class SharedForm(forms.ModelForm):
    """Refuses what no mail could be written with, and what cannot be changed just now, saying why."""

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or self.cleaned_data
        if self.errors:
            return cleaned
        kind = type(self.instance)
        there = kind._default_manager.filter(pk=self.instance.pk).first()
        shown = kind(**{**_own(self.instance), **cleaned})
        if fault := shared.fault(shown):
            self.add_error(WORDS_FIELD[kind], fault)
        elif (
            there is not None
            and shared.values_of(there) != shared.values_of(shown)
            and (hindrance := shared.why_not(there))
        ):
            self.add_error(None, _with_links(hindrance))
        return cleaned


def _with_links(hindrance: shared.Hindrance) -> SafeString:
    """The reason, with a way to each change set that stands in the way."""
    links = format_html_join(
        ", ",
        '<a class="underline" href="{}">Look at “{}”</a>',
        ((one.get_absolute_url(), one) for one in hindrance.change_sets),
    )
    return format_html("{} {}", hindrance.reason, links)


def _own(row: Snippet | Destination) -> dict[str, Any]:
    return {field.name: getattr(row, field.name, None) for field in row._meta.concrete_fields if field.name != "host"}  # fmt: skip


class SharedAdmin(ModelAdmin):
    """Saving what live e-mails use drafts one change set of all its users, and leads to it."""

    form = SharedForm

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        # E-mails, and journeys for screens, name it by its key.
        return (*super().get_readonly_fields(request, obj), *(("key",) if obj else ()))

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        found = super().get_fieldsets(request, obj)
        if obj is None:
            return found
        said = (
            "Live e-mails keep what they have until a reviewer approves: saving drafts a new version "
            "of every e-mail that uses this, and shows you what changes."
        )
        return [(name, {**options, "description": said}) for name, options in found]

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        if not change:
            super().save_model(request, obj, form, change)
            return
        there = type(obj)._default_manager.get(pk=obj.pk)
        before, after = shared.values_of(there), shared.values_of(obj)
        for name in before:
            # What review is about is not saved here; the rest, such as a snippet's name, is.
            column = "host_id" if name == "host" else name
            setattr(obj, column, getattr(there, column))
        super().save_model(request, obj, form, change)
        if before == after:
            return
        by = request.user
        assert isinstance(by, User)
        try:
            drafted = shared.change(there, after, by=by, now=timezone.now())
        except NotAllowed as refusal:
            # Somebody took a draft between the form's check and this.
            messages.error(request, f"It was not changed: {refusal}")
            return
        request.drafted = drafted  # type: ignore[attr-defined]

    def response_change(self, request: HttpRequest, obj: Any) -> HttpResponse:
        drafted = getattr(request, "drafted", None)
        if drafted is None:
            return super().response_change(request, obj)
        messages.info(
            request,
            "E-mails that are live use it, so it changes with them: read what changes, then submit it.",
        )
        return redirect(drafted)


@admin.register(Snippet)
class SnippetAdmin(SharedAdmin):
    list_display = ("name", "key")
    search_fields = ("name", "key", "body")
