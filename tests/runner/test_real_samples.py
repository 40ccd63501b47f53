"""A template is shown to a real account's people as things stand, chosen by the rules that run live."""

from lifecycle.runner.real_samples import real_samples
from tests.engine.world import HOUR, at
from tests.runner import scenes


def test_a_real_account_is_a_reader_as_things_stand(tell):
    tell.starts(0)
    [sample] = real_samples(scenes.account(), "start_stalled", now=at(HOUR))
    assert sample.context["setup"]["age_hours"] == 1
    assert sample.context["person"]["email"] == scenes.person("dev").email
    assert sample.story[0] == "Started: 2026-03-03 10:00 UTC"
    assert sample.story[-1] == "Now: Started"
    assert "manage_api_keys" in sample.capabilities
    assert (sample.step, sample.purpose, sample.journey) == ("start_stalled", "nudge", "api")


def test_a_mail_of_another_stage_can_be_looked_at_too(tell):
    tell.starts(0)
    [sample] = real_samples(scenes.account(), "confirm", now=at(HOUR))
    assert sample.context["person"]["email"] == scenes.person("dev").email


def test_where_nobody_may_get_it_it_is_shown_to_whoever_started(tell):
    tell.starts(0)
    [sample] = real_samples(scenes.account(), "ask", now=at(HOUR))  # nobody else is there to ask
    assert sample.context["person"]["email"] == scenes.person("dev").email


def test_what_no_journey_sends_to_it_has_no_reader(tell):
    assert real_samples(scenes.account(), "start_stalled", now=at(HOUR)) == ()
    tell.starts(0)
    assert real_samples(scenes.account(), "nothing_of_ours", now=at(HOUR)) == ()
