"""The admin's lists of who: accounts, people, roles, consent and our own staff."""

from typing import Any, ClassVar

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe
from unfold.admin import ModelAdmin
from unfold.decorators import action, display
from unfold.forms import AdminPasswordChangeForm, UserChangeForm, UserCreationForm
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from accounts import pausing
from accounts.actions import report_each
from accounts.filters import ValueOrNone, whether
from accounts.models import (
    Account,
    Capability,
    Consent,
    Membership,
    Person,
    Role,
    User,
)
from accounts.readonly import ReadOnlyAdmin, ReadOnlyInline
from accounts.resources import (
    AccountResource,
    Exchanging,
    MembershipResource,
    PersonResource,
)


class MembershipInline(ReadOnlyInline):
    """What a person may do in an account is what the customer's product says."""

    model = Membership
    fields = ("account", "person", "role", "role_since", "last_active_at", "ended_at")
    readonly_fields = fields

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("account", "person")


class ConsentInline(ReadOnlyInline):
    model = Consent
    fields = ("category", "given", "source", "at")
    readonly_fields = fields


@admin.register(Account)
class AccountAdmin(Exchanging, ModelAdmin):
    """Accounts come from events; staff decide only whether and to whom we may write."""

    resource_classes: ClassVar = [AccountResource]
    list_fullwidth = True
    list_display = ("named", "story", "external_id", "plan", "members", "environment", "sending")
    list_filter = (
        "environment",
        ("plan", ValueOrNone),
        whether("paused_at", title="sending", yes="paused", no="on"),
        whether("closed_at", title="account", yes="closed", no="open"),
    )
    search_fields = ("name", "external_id", "people__email")
    search_help_text = "Name, id, or the e-mail address of somebody in it"
    # By key, which grows with time: a large list needs no other index.
    ordering = ("-pk",)
    inlines: ClassVar = [MembershipInline]
    actions: ClassVar = ["pause_sending", "resume_sending"]
    actions_detail: ClassVar = ["merge_account"]
    # The rest is what the customer's product told us; an edit here would be overwritten, or would
    # contradict the event log.
    editable = ("admin_outreach",)
    fieldsets = (
        ("Account", {"fields": ("name", "external_id", "environment", "created_at", "closed_at")}),
        ("What we may do", {"fields": ("admin_outreach", "paused_at", "next_look_at")}),
        (
            "What your product told us",
            {
                "fields": (
                    "plan",
                    "value",
                    "acquisition_source",
                    "time_zone",
                    "language",
                    "traits",
                    "merged_into",
                )
            },
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Account]:
        # A subquery counts for the rows of the page only; a join would count for all of them first.
        members = Membership.objects.current().filter(account=OuterRef("pk")).order_by()
        count = members.values("account").annotate(number=Count("pk")).values("number")
        return super().get_queryset(request).annotate(people_count=Coalesce(Subquery(count), 0))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[str]:
        return [field.name for field in Account._meta.fields if field.name not in self.editable]

    def save_model(self, request: HttpRequest, obj: Account, form: Any, change: bool) -> None:
        # Only what may be edited here, under the account's lock: the rest of the form is already old.
        with transaction.atomic():
            Account.objects.locked([obj.pk])
            mine = Account.objects.filter(pk=obj.pk)
            mine.update(**{name: getattr(obj, name) for name in self.editable})
            mine.mark_changed(timezone.now())

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @display(description="account", ordering="name")
    def named(self, account: Account) -> str:
        return str(account)

    @display(description="story")
    def story(self, account: Account) -> SafeString:
        return format_html(
            '<a class="text-primary-600 dark:text-primary-400 underline" href="{}">What happened and why</a>',
            account.get_absolute_url(),
        )

    @display(description="people")
    def members(self, account: Any) -> int:
        return int(account.people_count)

    @display(description="sending", label={"on": "success", "paused": "warning", "closed": "info"})
    def sending(self, account: Account) -> str:
        if account.closed_at:
            return "closed"
        return "paused" if account.paused_at else "on"

    @action(description="Merge with another…", url_path="merge", permissions=["change"])
    def merge_account(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return redirect("merge_account", object_id)

    @action(description="Send nothing to these accounts", permissions=["change"])
    def pause_sending(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        now = timezone.now()
        done = [pausing.pause(pk, now=now) for pk in queryset.values_list("pk", flat=True)]
        report_each(
            request, done, did="paused", skipped="paused already or part of another account"
        )

    @action(description="Let sending go on", permissions=["change"])
    def resume_sending(self, request: HttpRequest, queryset: QuerySet[Account]) -> None:
        now = timezone.now()
        done = [pausing.resume(pk, now=now) for pk in queryset.values_list("pk", flat=True)]
        report_each(request, done, did="resumed", skipped="not paused")


@admin.register(Person)
class PersonAdmin(Exchanging, ReadOnlyAdmin):
    resource_classes: ClassVar = [PersonResource]
    list_display = ("named", "email", "external_id", "environment", "created_at")
    list_filter = (
        "environment",
        whether("email", title="e-mail address", yes="known", no="unknown"),
    )
    search_fields = ("name", "email", "external_id", "accounts__name")
    search_help_text = "Name, e-mail address, id, or an account's name"
    ordering = ("-pk",)
    inlines: ClassVar = [MembershipInline, ConsentInline]
    actions_detail: ClassVar = ["merge_person"]

    def has_merge_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        return request.user.has_perm("accounts.change_account")

    @action(description="Merge with another…", url_path="merge", permissions=["merge"])
    def merge_person(self, request: HttpRequest, object_id: int) -> HttpResponse:
        return redirect("merge_person", object_id)

    @display(description="person", ordering="name")
    def named(self, person: Person) -> str:
        return str(person)


@admin.register(Membership)
class MembershipAdmin(Exchanging, ReadOnlyAdmin):
    resource_classes: ClassVar = [MembershipResource]
    list_display = ("person", "account", "role", "last_active_at", "joined_at", "ended_at")
    list_select_related = ("account", "person")
    list_filter = (
        ("role", ValueOrNone),
        whether("ended_at", title="membership", yes="ended", no="current"),
    )
    search_fields = ("person__email", "person__name", "account__name", "account__external_id")
    ordering = ("-pk",)


@admin.register(Role)
class RoleAdmin(ModelAdmin):
    """What a role of the customer's product grants. A role without capabilities grants nothing."""

    list_display = ("name", "key", "grants")
    search_fields = ("key", "name")
    filter_horizontal = ("capabilities",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Role]:
        return super().get_queryset(request).prefetch_related("capabilities")

    @display(description="grants")
    def grants(self, role: Role) -> str:
        return ", ".join(str(capability) for capability in role.capabilities.all()) or "nothing"


@admin.register(Capability)
class CapabilityAdmin(ModelAdmin):
    list_display = ("name", "key")
    search_fields = ("key", "name")


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    list_display = ("person", "category", "given", "source", "at")
    list_select_related = ("person",)
    list_filter = ("category", "given")
    search_fields = ("person__email", "person__name")
    ordering = ("-pk",)


admin.site.unregister(Group)


@admin.register(Group)
class RolesOfStaffAdmin(ReadOnlyAdmin):
    """Roles are made from one table in the code, `manage.py staff_roles`; here they are shown."""

    list_display = ("name", "users")
    fields = ("name", "permits")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        return super().get_queryset(request).annotate(user_count=Count("user"))

    @display(description="may")
    def permits(self, group: Group) -> SafeString:
        held = group.permissions.select_related("content_type")
        return format_html_join(mark_safe("<br>"), "{}", ((row.name,) for row in held))

    @display(description="staff users")
    def users(self, group: Any) -> int:
        return int(group.user_count)


@admin.register(User)
class StaffUserAdmin(UserAdmin, ModelAdmin):
    """Our own staff. Only a superuser makes a superuser, or changes one."""

    form = UserChangeForm
    add_form = UserCreationForm
    change_password_form = AdminPasswordChangeForm
    list_display = ("username", "email", "first_name", "last_name", "roles", "is_active")
    list_filter = ("groups", "is_active", "is_superuser")
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("What they may do", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Dates", {"fields": ("last_login", "date_joined")}),
    )
    # Six roles are ticked more easily than moved between two boxes.
    filter_horizontal = ()
    add_fieldsets = (
        (
            None,
            {
                "classes": ("wide",),
                "fields": (
                    "username",
                    "email",
                    "groups",
                    "usable_password",
                    "password1",
                    "password2",
                ),
            },
        ),
    )

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **options: Any) -> Any:
        options["widget"] = UnfoldAdminCheckboxSelectMultipleWidget
        return super().formfield_for_manytomany(db_field, request, **options)

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        return super().get_queryset(request).prefetch_related("groups")

    @display(description="roles")
    def roles(self, user: User) -> str:
        named = "superuser" if user.is_superuser else ""
        return ", ".join(filter(None, [named, *(group.name for group in user.groups.all())]))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        shown = super().get_readonly_fields(request, obj)
        if obj == request.user:
            # Nobody takes their own rights away: the last administrator could not come back.
            return (*shown, "is_active", "is_staff", "is_superuser", "groups")
        return shown if request.user.is_superuser else (*shown, "is_superuser")

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        # Whoever is made here is one of us; their roles say what they may do.
        obj.is_staff = obj.is_staff or not change
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        out_of_reach = isinstance(obj, User) and obj.is_superuser and not request.user.is_superuser
        return not out_of_reach and super().has_change_permission(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        # What they approved and resolved names them; they are made inactive instead.
        return False
