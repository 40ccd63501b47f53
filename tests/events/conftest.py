"""What a process remembers must not travel from one test to the next; a client with a key."""

import base64
import json
from typing import Any

import pytest
from django.test import Client

from events import catalogue, keys, quarantine, traits


@pytest.fixture(autouse=True)
def _nothing_remembered():
    catalogue.forget()
    keys.forget()
    quarantine._wrong_keys_seen.clear()
    traits.forget()
    yield
    catalogue.forget()
    keys.forget()


def basic(plain: str) -> str:
    return "Basic " + base64.b64encode(f"{plain}:".encode()).decode()


class Sender:
    """Posts to the endpoint as a client would."""

    def __init__(self, plain: str) -> None:
        self.plain = plain
        self.client = Client(raise_request_exception=False)

    def __call__(self, path: str, content: Any, **extra: Any) -> Any:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        extra.setdefault("headers", {"Authorization": basic(self.plain)})
        return self.client.post(path, data, content_type="application/json", **extra)


@pytest.fixture
def key(db):
    return keys.create("backend")


@pytest.fixture
def post(key):
    return Sender(key[1])
