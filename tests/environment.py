"""Puts the test world into the environment before the settings are read (a pytest plugin)."""

import os

os.environ["LIFECYCLE_ENV"] = "test"
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lifecycle.settings")
