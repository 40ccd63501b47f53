"""Every address the application answers to."""

from django.contrib import admin
from django.urls import include, path

from messaging import webhook_routes

urlpatterns = [
    # Before the admin, whose front page it replaces.
    path("", include("lifecycle.pages.urls")),
    path("", include("events.api.urls")),
    path("", include("messaging.urls")),
    path("anymail/", include((webhook_routes.routes(), "anymail"))),
    path("admin/", admin.site.urls),
]
