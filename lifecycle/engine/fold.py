"""`fold`: from events to state, the same for every order in which they arrived.

Events are taken in the order of (time, undo after everything else, uid), so late and repeated ones
give what they would have given in time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from operator import attrgetter

from lifecycle.engine.journey import ErrorClass, Path
from lifecycle.engine.routing import (
    ACCOUNT_WIDE,
    Role,
    Route,
    Router,
    integration_id_of,
    kind_of,
    provider_of,
)
from lifecycle.engine.state import (
    AccountState,
    Block,
    Event,
    LastError,
    Mark,
    SetupState,
    Unplaced,
)

UNBLOCKED = "staff_unblocked"
HOLD_STARTED = "staff_hold_started"
HOLD_ENDED = "staff_hold_ended"
STOPPED = "staff_stopped"
RESTARTED = "staff_restarted"
PLACED = "staff_placed"
CONTROLS = frozenset({UNBLOCKED, HOLD_STARTED, HOLD_ENDED, STOPPED, RESTARTED, PLACED})
"""Events of our own that steer a setup; properties `integration_type` and `setup_key` say which."""


def sort_key(router: Router, event: Event) -> tuple[datetime, int, str]:
    """The order in which events are taken, whatever order they arrived in."""
    # A separator that PostgreSQL can keep, as this key stands in stored checkpoints.
    return (event.at, router.rank(event), f"{event.name}\x1f{event.uid}")


def fold(
    router: Router,
    events: Iterable[Event],
    *,
    state: AccountState | None = None,
    placed: Mapping[int, tuple[str, str]] | None = None,
) -> AccountState:
    """The state that these events lead to.

    With `state`, go on from there: the caller makes sure that every event is later (by `sort_key`)
    than those already folded, and else folds from the beginning. `placed` says where staff put
    events that fitted several setups: event id → (integration type, setup key), by any key that
    the setup ever has, even one that it learns later; such a key needs a fold from the beginning.
    """
    ordered = in_order(router, events)
    placed = placed or {}
    if state is not None:
        return take(router, state, ordered, placed)
    folded = take(router, AccountState(), ordered, placed)
    renamed = by_first_key(folded, placed)
    return folded if renamed == placed else take(router, AccountState(), ordered, renamed)


def in_order(router: Router, events: Iterable[Event]) -> list[Event]:
    """The events in the order of `sort_key`, worked out only where several share a moment."""
    ordered = sorted(events, key=_time_of)
    if all(one.at != other.at for one, other in pairwise(ordered)):
        return ordered
    return sorted(ordered, key=lambda event: (sort_key(router, event), event.id))


_time_of = attrgetter("at")


def by_first_key(
    state: AccountState, placed: Mapping[int, tuple[str, str]]
) -> dict[int, tuple[str, str]]:
    """The same places by the key with which each setup began, which it has at every moment."""
    found = {event_id: state.setup(*place) for event_id, place in placed.items()}
    return {
        event_id: (setup.integration_type, setup.keys[0]) if setup else placed[event_id]
        for event_id, setup in found.items()
    }


def take(
    router: Router,
    state: AccountState,
    ordered: Iterable[Event],
    placed: Mapping[int, tuple[str, str]],
) -> AccountState:
    """Go on from `state` with events that come in the order of `sort_key`; the same state, changed."""
    before = state.last_key
    last: Event | None = None
    for event in ordered:
        state.last_event_id = max(state.last_event_id, event.id)
        if last is not None:
            repeated = event.at == last.at and (event.name, event.uid) == (last.name, last.uid)
        else:
            repeated = before is not None and sort_key(router, event) == before
        last = event
        if not (repeated and event.uid):
            _apply(router, state, event, placed)
    if last is not None:
        state.last_key = sort_key(router, last)
    return state


def _apply(
    router: Router, state: AccountState, event: Event, placed: Mapping[int, tuple[str, str]]
) -> None:
    if event.name in CONTROLS:
        _control(state, event)
        return
    actor = event.person if event.active else None
    if actor is not None:
        state.active[actor] = event.at
    routes = router.routes(event)
    own = [route for route in routes if route.role not in ACCOUNT_WIDE] if routes else routes
    # What names a setup without meaning anything to it matters only as somebody's work on it.
    plain = not own and (bool(routes) or actor is not None)
    mentioned = _mentioned(state, event) if plain or len(own) < len(routes) else []
    for setup in _where(state, event, own, placed) if own else mentioned:
        if actor is not None:
            setup.actors[actor] = event.at
            setup.active_at = event.at
        for route in own:
            if route.integration_type == setup.integration_type:
                _take(router.paths[setup.integration_type], setup, event, route)
    if len(own) < len(routes):
        _account_wide(router, state, event, routes, mentioned)


def _account_wide(
    router: Router,
    state: AccountState,
    event: Event,
    routes: Sequence[Route],
    mentioned: Sequence[SetupState],
) -> None:
    """Activation and intent are about every setup of their path, or those that the event names."""
    for route in routes:
        if route.role in ACCOUNT_WIDE:
            named = [s for s in mentioned if s.integration_type == route.integration_type]
            for setup in named or state.setups:
                if route.integration_type == setup.integration_type:
                    _take(router.paths[setup.integration_type], setup, event, route)


# --- which setup an event belongs to ------------------------------------------------------------


def _mentioned(state: AccountState, event: Event) -> list[SetupState]:
    """Plain activity belongs to the setups that it names, if it names any."""
    wanted_id = integration_id_of(event)
    provider = provider_of(event)
    kind = kind_of(event)
    if wanted_id or provider or kind:
        return [
            setup
            for setup in state.setups
            if (not kind or setup.integration_type == kind)
            and (not wanted_id or setup.integration_id == wanted_id)
            and (not provider or setup.provider == provider)
        ]
    return []


def _where(
    state: AccountState,
    event: Event,
    routes: Sequence[Route],
    placed: Mapping[int, tuple[str, str]],
) -> list[SetupState]:
    """The setup that an event is about, if there is exactly one that it can be."""
    # A place that is no setup of this moment is no place: the event stays in doubt, not lost.
    if event.id in placed and (setup := state.setup(*placed[event.id])):
        return [setup]
    kinds = {route.integration_type for route in routes}
    roles = {route.role for route in routes}
    found = _named(state, event, kinds, roles)
    if not found:
        found = _unnamed(state, event, kinds, roles)
    if len(found) > 1 and roles == {Role.UNDO}:
        found = [s for s in found if any(route.key in s.reached for route in routes)]
    if len(found) > 1:
        if Role.MILESTONE in roles and any(setup.is_open for setup in found):
            names = tuple((setup.integration_type, setup.key) for setup in found)
            state.unplaced.append(Unplaced(event.id, event.name, event.at, names))
        return []
    if found:
        _learn(found[0], event)
        return found
    if roles & {Role.START, Role.MILESTONE} and len(kinds) == 1:
        return [_begin(state, event, next(iter(kinds)))]
    return []


def _named(
    state: AccountState, event: Event, kinds: set[str], roles: set[Role]
) -> list[SetupState]:
    """Setups that the event names by integration id or by provider.

    A setup that does not know its id or provider yet takes the event's. An open one comes before a
    finished one. A start that names what no setup has begins another one, rather than lend its
    name to a finished one; one that names a finished setup is only a visit to it.
    """
    wanted_id = integration_id_of(event)
    provider = provider_of(event)
    near = [setup for setup in state.setups if setup.integration_type in kinds]
    if wanted_id:
        exact = [setup for setup in near if setup.integration_id == wanted_id]
        if exact:
            return exact
        near = [setup for setup in near if not setup.integration_id]
        fitting = [setup for setup in near if provider and setup.provider == provider] or [
            setup for setup in near if not setup.provider or not provider
        ]
    elif provider:
        same = [setup for setup in near if setup.provider == provider]
        if same and roles == {Role.UNDO}:
            return same
        if same:
            return [setup for setup in same if setup.is_open] or same
        fitting = [
            setup
            for setup in near
            if not setup.provider and not (setup.integration_id and Role.START in roles)
        ]
    else:
        return []
    still_open = [setup for setup in fitting if setup.is_open]
    return still_open or ([] if Role.START in roles else fitting)


def _unnamed(
    state: AccountState, event: Event, kinds: set[str], roles: set[Role]
) -> list[SetupState]:
    """For an event that names nothing: the open setups of its path, or the finished ones."""
    if integration_id_of(event) or provider_of(event):
        return []
    near = [setup for setup in state.setups if setup.integration_type in kinds]
    if roles == {Role.UNDO}:
        return near
    return [setup for setup in near if setup.is_open] or near


def _begin(state: AccountState, event: Event, kind: str) -> SetupState:
    setup = SetupState(integration_type=kind, started=Mark.of(event))
    setup.provider = provider_of(event)
    setup.integration_id = integration_id_of(event)
    setup.keys = (setup.key,)
    setup.starter = event.person
    state.setups.append(setup)
    return setup


def _learn(setup: SetupState, event: Event) -> None:
    """Take over a provider and an id that were not known yet."""
    provider = provider_of(event)
    if provider and not setup.provider:
        setup.provider = provider
    wanted_id = integration_id_of(event)
    if wanted_id and not setup.integration_id:
        setup.integration_id = wanted_id
    if setup.key not in setup.keys:
        setup.keys = (*setup.keys, setup.key)


# --- what an event does to its setup ------------------------------------------------------------


def _take(path: Path, setup: SetupState, event: Event, route: Route) -> None:
    match route.role:
        case Role.START:
            _start(setup, event)
        case Role.MILESTONE:
            _reach(path, setup, event, route.key)
        case Role.UNDO:
            _undo(path, setup, event, route.key)
        case Role.ERROR:
            _fail(path.error(route.key), setup, event)
        case Role.ACTIVATION:
            setup.activated = setup.activated or Mark.of(event)
        case Role.INTENT:
            setup.intent = Mark.of(event)


def _start(setup: SetupState, event: Event) -> None:
    setup.implicit = False
    if setup.starter is None:
        setup.starter = event.person
    if setup.is_open and setup.started.imported_at is not None and not event.historical:
        # Somebody is at it today; what was imported about it before is no reason to ignore them.
        setup.started = Mark.of(event)
    role = event.properties.get("initiated_by_role")
    if isinstance(role, str) and not setup.starter_role and event.person == setup.starter:
        setup.starter_role = role


def _reach(path: Path, setup: SetupState, event: Event, key: str) -> None:
    if key not in setup.reached:
        setup.reached[key] = Mark.of(event)
        setup.unreached_at.pop(key, None)
        setup.unreached_imported.pop(key, None)
        if event.person is not None:
            setup.reached_by[key] = event.person
    setup.reported[key] = event.at
    if setup.starter is None and event.person is not None:
        setup.starter = event.person
    _progress(setup, event)
    if setup.usable is None and all(needed in setup.reached for needed in path.usable):
        setup.usable = Mark.of(event)


def _progress(setup: SetupState, event: Event) -> None:
    """Progress ends a block and forgets the errors before it."""
    setup.progress_at = event.at
    _unblock(setup, event)


def _unblock(setup: SetupState, event: Event) -> None:
    setup.errors.clear()
    if setup.block:
        setup.block = None
        setup.unblocked_at = event.at
        setup.unblocked_imported_at = Mark.of(event).imported_at


def _undo(path: Path, setup: SetupState, event: Event, key: str) -> None:
    """Take a milestone back. An undo wins only with a later time; on a tie, usable wins."""
    reopens = setup.usable is not None and key in path.usable
    rivals = {key, *path.usable} if reopens else {key}
    if key not in setup.reached or any(setup.reported.get(r) == event.at for r in rivals):
        return
    del setup.reached[key]
    setup.reached_by.pop(key, None)
    setup.unreached_at[key] = event.at
    if event.historical:
        setup.unreached_imported[key] = event.received_at
    if reopens:
        setup.usable = None
        setup.attempt += 1
        setup.started = Mark.of(event)
        setup.errors.clear()
        setup.last_error = setup.block = setup.activated = setup.intent = None
        setup.blocks = 0
        setup.unblocked_at = setup.unblocked_imported_at = setup.stopped_at = None


def _fail(error: ErrorClass, setup: SetupState, event: Event) -> None:
    if setup.usable:
        return
    times = setup.errors.setdefault(error.key, [])
    times.append(event.at)
    # Only the newest `threshold` of them can decide anything, so no more are kept.
    del times[: -error.threshold]
    message = event.properties.get("message")
    inside = [at for at in times if at > event.at - error.window]
    setup.last_error = LastError(
        error.key,
        event.at,
        message[:500] if isinstance(message, str) else "",
        _spell(setup, error.key) + 1,
    )
    if len(inside) < error.threshold:
        return
    times.clear()
    if setup.block is None:
        setup.block = Block(error.key, Mark.of(event))
        setup.blocks += 1
    elif setup.block.burst is None:
        setup.block.burst = Mark.of(event)


def _spell(setup: SetupState, error_class: str) -> int:
    """How many errors of this class came in a row before, with no progress in between."""
    last = setup.last_error
    if last is None or last.error_class != error_class:
        return 0
    # Of one moment, the error is taken first: progress at the same time came after it.
    return last.count if setup.progress_at is None or setup.progress_at < last.at else 0


def _control(state: AccountState, event: Event) -> None:
    kind = event.properties.get("integration_type")
    key = event.properties.get("setup_key")
    for setup in state.setups:
        if kind is not None and setup.integration_type != kind:
            continue
        if key is not None and key not in setup.keys:
            continue
        match event.name:
            case "staff_unblocked":
                _unblock(setup, event)
            case "staff_hold_started":
                setup.held_since = setup.held_since or event.at
            case "staff_hold_ended":
                if setup.held_since:
                    setup.held_since = None
                    setup.hold_ended_at = event.at
            case "staff_stopped":
                setup.stopped_at = event.at
            case "staff_restarted":
                if setup.stopped_at:
                    setup.stopped_at = None
                    # It was in a colleague's hands until now: what came due meanwhile is not overdue.
                    setup.hold_ended_at = event.at
