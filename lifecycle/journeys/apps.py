from django.apps import AppConfig


class JourneysConfig(AppConfig):
    name = "lifecycle.journeys"
    verbose_name = "Journeys"
