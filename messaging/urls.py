"""The addresses that readers of our mails come to."""

from django.urls import path

from messaging import unsubscribe

urlpatterns = [
    path("unsubscribe/<str:token>/", unsubscribe.page, name="unsubscribe"),
]
