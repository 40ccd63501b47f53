"""Every address the application answers to."""

from django.contrib import admin
from django.urls import include, path

urlpatterns = [
    # Before the admin, whose front page it replaces.
    path("", include("lifecycle.pages.urls")),
    path("", include("events.api.urls")),
    path("", include("messaging.urls")),
    path("anymail/", include("anymail.urls")),
    path("admin/", admin.site.urls),
]
