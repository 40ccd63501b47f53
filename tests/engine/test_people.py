"""Who gets a mail: exactly one person, by a stated order, with the reason for every choice and every no."""

from dataclasses import replace

import pytest

from lifecycle.engine.facts import Account
from lifecycle.engine.journey import Purpose, To
from tests.engine.world import (
    ADA,
    API,
    DAY,
    DEV,
    DOMAIN,
    HOUR,
    MIA,
    OLE,
    at,
    call,
    ev,
    key,
    look,
    mail,
    person,
    ran,
    refused,
    said,
    start,
    verdict,
    with_step,
)

LATER = 30 * HOUR


def chosen(to=To.ABLE, *log, people=(DEV, ADA, OLE, MIA), purpose=Purpose.NUDGE, **more):
    """Who the step goes to, why, and who was passed over for what."""
    step = {name: more.pop(name) for name in list(more) if name in ("capability", "category")}
    journey = with_step(mail("step", purpose, to, **step), more.pop("journey", API))
    stages = tuple(replace(one, steps=journey.stages[-1].steps) for one in journey.stages[-1:])
    found = verdict(
        "step", LATER, *log, journey=replace(journey, stages=stages), people=people, **more
    )
    passed = {skipped.person: str(skipped.reason) for skipped in found.passed_over}
    return found.person, str(found.chosen_because or found.reason), passed


# --- the chains -----------------------------------------------------------------------------------


def test_the_starter_gets_it_if_able():
    assert chosen(To.ABLE, start(0, DEV)) == (DEV.id, "started_it", {})


def test_a_starter_who_is_not_able_is_passed_over_for_an_admin():
    found = chosen(To.ABLE, start(0, MIA))
    assert found == (ADA.id, "able_in_order", {MIA.id: "lacks_capability"})


def test_where_nobody_is_known_to_have_started_the_first_able_person_in_order_gets_it():
    assert chosen(To.ABLE, start(0, None)) == (ADA.id, "able_in_order", {})


def test_a_starter_whom_we_do_not_know_is_passed_over():
    found = chosen(To.ABLE, start(0, DEV), people=(ADA,))
    assert found == (ADA.id, "able_in_order", {DEV.id: "unknown_person"})


def test_a_mail_for_the_starter_asks_for_no_capability_and_goes_to_nobody_else():
    assert chosen(To.STARTER, start(0, MIA)) == (MIA.id, "started_it", {})
    gone = replace(MIA, member=False)
    found = chosen(To.STARTER, start(0, MIA), people=(gone, ADA))
    assert found == (None, "nobody_eligible", {MIA.id: "left_the_account"})


def test_a_mail_for_the_starter_can_still_name_the_capability():
    found = chosen(To.STARTER, start(0, MIA), capability="next")
    assert found == (None, "nobody_eligible", {MIA.id: "lacks_capability"})


def test_the_asking_order_is_by_role_then_by_membership_then_by_id():
    older = person(9, "Old", "admin", joined_at=at(-200 * DAY))
    twin = replace(older, id=8)
    unranked = person(7, "Ina", "developer", joined_at=at(-300 * DAY))
    people = (MIA, OLE, unranked, ADA, older, twin)
    order = []
    while (found := chosen(To.OTHER_ABLE, start(0, MIA), people=people))[0]:
        order.append(found[0])
        people = tuple(one for one in people if one.id != found[0])
    assert order == [8, 9, ADA.id, OLE.id, 7]


def test_another_order_can_be_stated():
    journey = replace(API, ask_order=("owner", "admin"))
    assert chosen(To.OTHER_ABLE, start(0, MIA), journey=journey)[0] == OLE.id


def test_somebody_else_is_never_the_starter():
    assert chosen(To.OTHER_ABLE, start(0, ADA))[0] == OLE.id


def test_the_capability_is_that_of_the_next_milestone():
    log = [start(0, DEV, kind="domain")]
    assert chosen(To.ABLE, *log, journey=DOMAIN)[0] == ADA.id
    log.append(ev("domain_verified", 60, ADA))
    assert chosen(To.ABLE, *log, journey=DOMAIN)[0] == DEV.id


# --- never these ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"member": False}, "left_the_account"),
        ({"capabilities": frozenset()}, "lacks_capability"),
        ({"address": ""}, "no_address"),
        ({"suppressed": "bounced"}, "suppressed"),
        ({"refuses": frozenset({"setup_help"})}, "no_consent"),
        ({"completed": frozenset({"api"})}, "completed_elsewhere"),
    ],
)
def test_whoever_must_not_get_it_is_passed_over_with_the_reason(change, reason):
    found = chosen(To.ABLE, start(0, DEV), people=(replace(DEV, **change), ADA))
    assert found == (ADA.id, "able_in_order", {DEV.id: reason})


def test_each_person_in_the_chain_is_named_once_with_their_own_reason():
    people = (replace(DEV, suppressed="complained"), replace(ADA, member=False), OLE, MIA)
    found = chosen(To.ABLE, start(0, DEV), people=people)
    assert found == (OLE.id, "able_in_order", {DEV.id: "suppressed"})
    blocked = (replace(DEV, suppressed="complained"), replace(OLE, address=""), MIA)
    assert chosen(To.ABLE, start(0, DEV), people=blocked) == (
        None,
        "nobody_eligible",
        {DEV.id: "suppressed", OLE.id: "no_address", MIA.id: "lacks_capability"},
    )


def test_a_refusal_of_another_kind_of_mail_is_no_refusal_of_this_one():
    choosy = replace(DEV, refuses=frozenset({"product_news"}))
    assert chosen(To.ABLE, start(0, DEV), people=(choosy,))[0] == DEV.id
    found = chosen(To.ABLE, start(0, DEV), people=(choosy,), category="product_news")
    assert found == (None, "nobody_eligible", {DEV.id: "no_consent"})


def test_an_unknown_role_grants_nothing_whatever_the_event_said():
    odd = replace(MIA, role="wizard", capabilities=frozenset())
    found = chosen(To.ABLE, start(0, MIA, initiated_by_role="admin"), people=(odd,))
    assert found == (None, "nobody_eligible", {MIA.id: "lacks_capability"})


def test_whoever_leaves_between_due_and_send_is_replaced_and_a_joiner_can_be_chosen():
    log = [start(0, DEV)]
    assert verdict("hello", 20, log).person == DEV.id
    gone = (replace(DEV, member=False), MIA)
    journey = replace(API, stages=API.stages[-1:])
    assert verdict("hello", 20, log, journey=journey, people=gone).reason == "nobody_eligible"
    joined = (*gone, replace(ADA, joined_at=at(19)))
    assert verdict("hello", 20, log, journey=journey, people=joined).person == ADA.id


# --- completed elsewhere ----------------------------------------------------------------------------

VETERAN = replace(DEV, completed=frozenset({"api"}))


def test_only_nudges_are_spared_to_whoever_did_it_elsewhere():
    for purpose in (Purpose.RESOLUTION, Purpose.ASK):
        assert chosen(To.ABLE, start(0, DEV), people=(VETERAN,), purpose=purpose)[0] == DEV.id
    log = [start(0, DEV), key(1), call(2)]
    assert verdict("confirm", 3, log, people=(VETERAN,)).person == DEV.id


def test_another_type_done_elsewhere_is_no_reason():
    other = replace(DEV, completed=frozenset({"domain"}))
    assert chosen(To.ABLE, start(0, DEV), people=(other,))[0] == DEV.id


def test_a_journey_can_write_to_veterans_all_the_same():
    journey = replace(API, skip_completed_elsewhere=False)
    assert chosen(To.ABLE, start(0, DEV), people=(VETERAN,), journey=journey)[0] == DEV.id


# --- outreach ---------------------------------------------------------------------------------------

NEVER, DOMAIN_ONLY = Account(1, outreach="never"), Account(1, outreach="same_domain")
STRANGER = replace(OLE, address="ole@agency.example")


def test_an_account_that_forbids_outreach_gets_no_mail_to_colleagues():
    found = chosen(To.OTHER_ABLE, start(0, MIA), people=(MIA, ADA), account=NEVER)
    assert found == (None, "nobody_eligible", {ADA.id: "no_admin_outreach"})


def test_the_starter_and_whoever_worked_on_the_setup_may_always_be_written_to():
    assert chosen(To.ABLE, start(0, DEV), account=NEVER)[0] == DEV.id
    page = ev("setup_page_viewed", 5, ADA, integration_type="api")
    assert chosen(To.OTHER_ABLE, start(0, MIA), page, account=NEVER)[0] == ADA.id


def test_whoever_only_looked_at_the_prices_has_not_worked_on_the_setup():
    visit = ev("pricing_viewed", 5, ADA)
    found = chosen(To.OTHER_ABLE, start(0, MIA), visit, people=(MIA, ADA), account=NEVER)
    assert found[1] == "nobody_eligible"


def test_outreach_can_be_kept_to_the_starters_own_domain():
    log = [start(0, MIA)]
    found = chosen(To.OTHER_ABLE, *log, people=(MIA, STRANGER, ADA), account=DOMAIN_ONLY)
    assert found[0] == ADA.id
    found = chosen(To.OTHER_ABLE, *log, people=(MIA, STRANGER), account=DOMAIN_ONLY)
    assert found == (None, "nobody_eligible", {OLE.id: "no_admin_outreach"})


@pytest.mark.parametrize("starter", [None, MIA], ids=["nobody known", "no address"])
def test_without_a_starters_domain_there_is_no_same_domain(starter):
    people = (replace(MIA, address=""), ADA)
    found = chosen(To.OTHER_ABLE, start(0, starter), people=people, account=DOMAIN_ONLY)
    assert found[1] == "nobody_eligible"


# --- asking a colleague -------------------------------------------------------------------------------

ASKING = [start(0, DEV, kind="domain")]


def test_a_starter_who_cannot_go_on_hears_whom_to_ask_and_one_admin_is_asked():
    decision = look(HOUR + 10, *ASKING, journey=DOMAIN)
    assert decision.stage == "waiting"
    mine, theirs = decision.verdict("ask_your_admin"), decision.verdict("ask")
    assert mine is not None
    assert theirs is not None
    assert (mine.outcome, mine.person) == ("due", DEV.id)
    assert (theirs.outcome, theirs.person, theirs.chosen_because) == (
        "due",
        ADA.id,
        "able_in_order",
    )


def test_the_starter_is_told_once():
    told = [ran("ask_your_admin", DEV, 10)]
    found = verdict("ask_your_admin", DAY, *ASKING, journey=DOMAIN, runs=told)
    assert said(found) == ("done", "already_done")


def test_an_admin_who_does_not_act_is_followed_by_the_next_able_person_once():
    asked = [ran("ask", ADA, HOUR)]
    found = verdict("ask_next", 2 * DAY, *ASKING, journey=DOMAIN, runs=asked)
    assert (found.outcome, found.person) == ("due", OLE.id)
    assert [(one.person, one.reason) for one in found.passed_over] == [(ADA.id, "already_asked")]
    asked.append(ran("ask_next", OLE, 2 * DAY))
    found = verdict("ask_next", 3 * DAY, *ASKING, journey=DOMAIN, runs=asked)
    assert said(found) == ("done", "already_done")


def test_where_everybody_able_was_asked_nobody_is_asked_twice():
    asked = [ran("ask", ADA, HOUR)]
    found = verdict("ask_next", 2 * DAY, *ASKING, journey=DOMAIN, runs=asked, people=(DEV, ADA))
    assert said(found) == ("no", "nobody_eligible")


def test_a_mail_that_bounced_goes_to_the_next_person():
    runs = [ran("ask", ADA, HOUR, bounced=True)]
    found = verdict("ask", HOUR + 10, *ASKING, journey=DOMAIN, runs=runs)
    assert (found.outcome, found.person) == ("due", OLE.id)
    assert [(one.person, one.reason) for one in found.passed_over] == [(ADA.id, "bounced_before")]


def test_one_delivery_after_a_bounce_is_done():
    runs = [ran("ask", ADA, HOUR, bounced=True), ran("ask", OLE, HOUR + 10)]
    found = verdict("ask", HOUR + 20, *ASKING, journey=DOMAIN, runs=runs)
    assert (found.outcome, found.person) == ("done", OLE.id)


# --- nobody able ----------------------------------------------------------------------------------------


def test_where_nobody_is_able_the_starter_gets_a_text_to_forward_and_then_a_human_is_called():
    alone = (DEV, MIA)
    decision = look(10, *ASKING, journey=DOMAIN, people=alone)
    forward = decision.verdict("forward")
    assert forward is not None
    assert (forward.outcome, forward.person) == ("due", DEV.id)
    assert said(decision.verdict("ask")) == ("no", "condition_not_met")
    assert said(decision.verdict("ask_your_admin")) == ("no", "condition_not_met")
    assert said(decision.verdict("nobody_able")) == ("wait", "not_yet")
    sent = [ran("forward", DEV, 10)]
    decision = look(2 * DAY, *ASKING, journey=DOMAIN, people=alone, runs=sent)
    assert said(decision.verdict("forward")) == ("done", "already_done")
    assert said(decision.verdict("nobody_able")) == ("due", "due")


def test_an_admin_who_joins_meanwhile_is_asked_instead():
    joined = (DEV, replace(ADA, joined_at=at(DAY)))
    decision = look(
        DAY + HOUR, *ASKING, journey=DOMAIN, people=joined, runs=[ran("forward", DEV, 10)]
    )
    assert said(decision.verdict("nobody_able")) == ("no", "condition_not_met")
    asked = decision.verdict("ask")
    assert asked is not None
    assert asked.person == ADA.id


# --- confirmation ---------------------------------------------------------------------------------------

FINISHED = [*ASKING, ev("domain_verified", 60, ADA), ev("sending_enabled", 70, DEV)]


def test_the_confirmation_goes_to_the_starter():
    found = verdict("confirm", 71, *FINISHED, journey=DOMAIN)
    assert (found.outcome, found.person, found.chosen_because) == ("due", DEV.id, "started_it")


def test_where_the_starter_left_it_goes_to_whoever_made_it_work_the_last_of_them_first():
    gone = (replace(DEV, member=False), ADA, OLE)
    log = [*ASKING, ev("domain_verified", 60, ADA), ev("sending_enabled", 70, OLE)]
    found = verdict("confirm", 71, *log, journey=DOMAIN, people=gone)
    assert (found.person, found.chosen_because) == (OLE.id, "finished_it")


def test_the_asked_admin_is_thanked_only_if_the_step_was_theirs():
    asked = [ran("ask", ADA, 50)]
    found = verdict("thank_asked", 71, *FINISHED, journey=DOMAIN, runs=asked)
    assert (found.outcome, found.person) == ("due", ADA.id)
    assert verdict("thank_asked", 71, *FINISHED, journey=DOMAIN).reason == "nobody_eligible"
    other = [ran("ask", OLE, 50)]
    assert (
        verdict("thank_asked", 71, *FINISHED, journey=DOMAIN, runs=other).reason
        == "nobody_eligible"
    )


def test_a_starter_who_was_asked_to_pass_it_on_is_not_thanked_a_second_time():
    asked = [ran("ask", DEV, 50)]
    found = verdict("thank_asked", 71, *FINISHED, journey=DOMAIN, runs=asked)
    assert found.reason == "nobody_eligible"


def test_a_nudge_that_somebody_got_is_not_an_ask():
    nudged = [ran("hello", ADA, 50)]
    assert (
        verdict("thank_asked", 71, *FINISHED, journey=DOMAIN, runs=nudged).reason
        == "nobody_eligible"
    )


def test_a_checklist_goes_to_the_able_person_too():
    found = verdict("checklist", 4, start(0, MIA), refused(1, 2, 3))
    assert (found.person, found.passed_over[0].reason) == (ADA.id, "lacks_capability")
