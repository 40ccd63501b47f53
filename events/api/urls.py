"""The endpoint's description. The endpoint's own routes are answered by the door, before any middleware."""

from django.urls import path
from drf_spectacular.views import SpectacularSwaggerView

from events.api.schema import schema

urlpatterns = [
    path("events/openapi.json", schema, name="events-openapi"),
    path(
        "events/api/",
        SpectacularSwaggerView.as_view(url_name="events-openapi", title="Event endpoint"),
        name="events-api",
    ),
]
