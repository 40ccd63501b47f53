from django.apps import AppConfig


class RunnerConfig(AppConfig):
    name = "lifecycle.runner"
    verbose_name = "What was decided"
