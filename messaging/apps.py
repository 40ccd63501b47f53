from django.apps import AppConfig


class MessagingConfig(AppConfig):
    name = "messaging"
    verbose_name = "Messages"

    def ready(self) -> None:
        import messaging.webhooks  # noqa: F401 - connects Anymail's signal, the only receiver there is
