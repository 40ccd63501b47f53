"""The WSGI entry point that gunicorn serves."""

import os

from django.core.wsgi import get_wsgi_application

from lifecycle.memory import keep_what_is_loaded

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lifecycle.settings")
application = get_wsgi_application()
keep_what_is_loaded()
