"""The demo's stories hold at any hour of any day: each starts where it is about eleven in the morning."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from accounts import staff
from accounts.models import Account
from events import keys
from events.ingest import ingest
from lifecycle.alerts.models import Alert
from lifecycle.demo import play
from lifecycle.demo.stories import Story, local_zone, stories
from lifecycle.journeys import blueprint
from lifecycle.runner.deliver import deliver
from lifecycle.runner.look import look_at
from messaging.models import Message, MessageStatus

HOURS = {
    "Monday night": datetime(2027, 3, 1, 0, 5, tzinfo=UTC),
    "Wednesday morning": datetime(2027, 3, 3, 8, 40, tzinfo=UTC),
    "Saturday noon": datetime(2027, 3, 6, 12, 30, tzinfo=UTC),
    "Sunday, almost Monday": datetime(2027, 3, 7, 23, 55, tzinfo=UTC),
}


@pytest.mark.parametrize("now", HOURS.values(), ids=HOURS)
def test_it_is_about_eleven_in_the_morning_where_a_story_plays(now):
    assert now.astimezone(ZoneInfo(local_zone(now))).hour == 11


@pytest.mark.django_db
@pytest.mark.parametrize("began", HOURS.values(), ids=HOURS)
def test_every_account_of_the_demo_gets_exactly_what_its_story_says(began):
    staff.make_roles()
    author = staff.put_user("marketer", role="marketer", password=None)
    reviewer = staff.put_user("reviewer", role="reviewer", password=None)
    blueprint.load()
    play.send_on_weekends_too()
    since = began - timedelta(days=30)
    blueprint.publish_all(author=author, reviewer=reviewer, now=began, since=since)
    key, _ = keys.create("demo")

    for second in range(0, 31, 5):
        now = began + timedelta(seconds=second)
        for story in stories():
            ingest(_sent(story, began, second, now), key=key, now=now)
        accounts = list(Account.objects.due(now).values_list("pk", flat=True))
        deliver(look_at(accounts, now=now), clock=lambda now=now: now)

    for story in stories():
        assert _received(story) == _expected(story), story.name
        assert Alert.objects.filter(account__name=story.name).count() == story.alerts, story.name


def _sent(story: Story, began: datetime, second: int, now: datetime) -> list[dict[str, object]]:
    """What the story's backend sends in the five seconds up to this one."""
    calls: list[dict[str, object]] = []
    account = story.name.lower()
    for member in story.members if second == 0 else ():
        user = f"{account}-{member.name.lower()}"
        joined = (began - timedelta(days=10)).isoformat()
        zone = local_zone(began)
        traits = {"email": f"{user}@{account}.example", "name": member.name, "timezone": zone}
        calls.append({"type": "identify", "userId": user, "traits": traits, "timestamp": joined})
        group = {"name": story.name, "role": member.role, **story.traits}
        calls.append(
            {
                "type": "group",
                "userId": user,
                "groupId": account,
                "traits": group,
                "timestamp": joined,
            }
        )
    for step in story.steps:
        if second - 5 < play.sent_at(step).total_seconds() <= second:
            calls.append(
                {
                    "type": "track",
                    "userId": f"{account}-{step.who.name.lower()}",
                    "event": step.event,
                    "properties": dict(step.properties),
                    "context": {"groupId": account},
                    "timestamp": min(began + step.at, now).isoformat(),
                }
            )
    return calls


def _received(story: Story) -> set[tuple[str, str]]:
    sent = Message.objects.filter(account__name=story.name, status=MessageStatus.SENT)
    return set(sent.values_list("person__name", "template_version__template__key"))


def _expected(story: Story) -> set[tuple[str, str]]:
    return {(name, template) for name, templates in story.mails.items() for template in templates}


def test_the_stories_together_reach_all_five_emails():
    told = {template for story in stories() for mails in story.mails.values() for template in mails}
    assert {template.partition("_")[2] for template in told} >= {
        "started", "stalled_start", "stalled_finish", "blocked", "ask_admin", "usable",
    }  # fmt: skip
    assert len(stories()) >= 8
