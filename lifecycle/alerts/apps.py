from django.apps import AppConfig


class AlertsConfig(AppConfig):
    name = "lifecycle.alerts"
    verbose_name = "Follow-up alerts"
