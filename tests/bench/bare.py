"""The rival of the endpoint: a Django view that executes the fastest bare insert and nothing else."""

import json
import os
from datetime import UTC, datetime

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "lifecycle.settings")

from django.conf import settings

settings.ROOT_URLCONF = "tests.bench.bare"
settings.MIDDLEWARE = []

from django.core.wsgi import get_wsgi_application  # noqa: E402
from django.db import connection  # noqa: E402
from django.http import HttpRequest, HttpResponse  # noqa: E402
from django.urls import path  # noqa: E402

from tests.bench.statements import BARE_INSERT  # noqa: E402


def insert(request: HttpRequest) -> HttpResponse:
    """The body is the rows as they go into the statement."""
    connection.ensure_connection()
    cursor = connection.connection.cursor()
    cursor.execute(BARE_INSERT, [datetime.now(UTC), request.body.decode()])
    connection.connection.commit()
    return HttpResponse(json.dumps({"success": True}), content_type="application/json")


urlpatterns = [path("insert", insert)]
application = get_wsgi_application()
