"""The signed webhook at a journey's end, against a real server on this machine."""

import base64
import hashlib
import hmac
import json
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from events.models import Event
from lifecycle.runner import handoff
from lifecycle.runner.models import HandOff
from tests.runner.scenes import API, DAY, account, at, lean, publish, turn, until

pytestmark = pytest.mark.django_db
# The example of the Standard Webhooks libraries: https://github.com/standard-webhooks/standard-webhooks
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


class Receiver(HTTPServer):
    """Keeps what it was sent, and answers what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.answers: list[int] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hook"


class Answering(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.got.append(({k.lower(): v for k, v in self.headers.items()}, body))
        self.send_response(self.server.answers.pop(0) if self.server.answers else 200)
        self.end_headers()
        self.wfile.write(b"said")

    def log_message(self, *words) -> None:
        pass


@pytest.fixture
def receiver(settings):
    server = Receiver()
    Thread(target=server.serve_forever, daemon=True).start()
    settings.HANDOFF_WEBHOOK_URL, settings.HANDOFF_WEBHOOK_SECRET = server.url, SECRET
    yield server
    server.shutdown()
    server.server_close()


def verified(headers: dict[str, str], body: bytes) -> bool:
    """What a receiver does, by the specification, and not by our own code."""
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
    return any(
        hmac.compare_digest(signature, f"v1,{expected}")
        for signature in headers["webhook-signature"].split(" ")
    )


def finished(tell, **more) -> None:
    tell.starts(0, provider="stripe", **more)
    tell.works(5, provider="stripe")
    turn(5)


def test_the_signature_is_the_published_one():
    """Against the specification's test vector."""
    signed = handoff.signature(
        SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, '{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_a_finished_setup_is_handed_off_once_signed_and_dated(tell, receiver):
    finished(tell)
    until(DAY, start=6, every=60)
    [(headers, body)] = receiver.got
    assert verified(headers, body)
    assert headers["content-type"] == "application/json"
    assert headers["webhook-timestamp"] == str(int(at(5).timestamp()))
    told = json.loads(body)
    assert told["type"] == "integration.usable"
    assert told["data"] | {
        "account_id": "acme", "integration_type": "api", "provider": "stripe", "attempt": 1,
        "usable_at": at(5).isoformat(), "next": "first_workflow_launched",
    } == told["data"]  # fmt: skip
    row = HandOff.objects.get()
    assert (row.status, row.attempts, row.next_attempt_at) == ("done", 1, None)
    assert row.log == [{"at": at(5).isoformat(), "try": 1, "status": 200, "answer": "said"}]


def test_a_change_of_one_byte_would_be_noticed(tell, receiver):
    finished(tell)
    [(headers, body)] = receiver.got
    assert not verified(headers, body.replace(b"acme", b"acmf"))


def test_the_same_fact_stands_in_our_own_log(tell):
    finished(tell)
    event = Event.objects.get(source="lifecycle")
    assert (event.name, event.account, event.occurred_at) == (
        "integration_usable",
        account(),
        at(5),
    )


def test_a_receiver_that_fails_is_asked_again_and_every_try_is_on_record(tell, receiver):
    receiver.answers = [500, 503, 302]
    finished(tell)
    until(60, start=5, every=1)
    row = HandOff.objects.get()
    assert [entry["status"] for entry in row.log] == [500, 503, 302, 200]
    assert (row.status, row.attempts) == ("done", 4)
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert all(verified(*each) for each in receiver.got)


def test_a_receiver_that_never_answers_is_given_up_in_sight(tell, receiver, settings):
    receiver.server_close()
    settings.HANDOFF_WEBHOOK_URL = "http://127.0.0.1:1/nobody"
    finished(tell)
    until(2 * DAY, start=6, every=30)
    row = HandOff.objects.get()
    assert row.status == "failed"
    assert len(row.log) == row.attempts == len(handoff.RETRY_AFTER) + 1
    assert all("no_connection" in entry["error"] for entry in row.log)


def test_both_arms_are_handed_off(tell, receiver):
    publish(lean(API, holdout_percent=100))
    finished(tell)
    assert len(receiver.got) == 1


def test_a_second_attempt_is_handed_off_by_itself(tell, receiver):
    finished(tell)
    until(7, start=6, every=1)
    tell.tells("api_key_revoked", DAY, provider="stripe")
    turn(DAY)
    tell.tells("api_key_created", DAY + 5, provider="stripe")
    until(DAY + 10, start=DAY + 5, every=1)
    assert [json.loads(body)["data"]["attempt"] for _, body in receiver.got] == [1, 2]
    assert HandOff.objects.count() == 2


def test_without_a_receiver_nothing_waits_to_be_sent(tell):
    finished(tell)
    assert HandOff.objects.count() == 0


def test_two_workers_that_take_the_same_hand_off_agree_on_its_end(tell, receiver):
    finished(tell)
    row = HandOff.objects.get()
    handoff.deliver(row.pk, now=at(6))
    assert len(receiver.got) == 1
