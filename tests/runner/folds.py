"""An account's log folded from the beginning, past every cache."""

from events.models import Event
from lifecycle.engine.fold import fold
from lifecycle.engine.state import AccountState
from lifecycle.runner import history
from lifecycle.runner.definition import current
from tests.runner.scenes import account


def folded_anew(name: str = "acme") -> AccountState:
    definition = current()
    rows = Event.objects.counting().filter(account=account(name)).values_list(*history._COLUMNS)
    events = [history.engine_event(definition, row) for row in rows]
    return fold(definition.router, events, placed=history.placements(events))
