from django.apps import AppConfig


class PagesConfig(AppConfig):
    name = "lifecycle.pages"
    verbose_name = "Pages"
