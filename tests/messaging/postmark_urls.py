"""The addresses of an installation whose mail provider is Postmark."""

from django.urls import include, path

from lifecycle.urls import urlpatterns as ours
from messaging import webhook_routes

urlpatterns = [
    path("anymail/", include((webhook_routes.of_provider("postmark"), "anymail"))),
    *ours,
]
