"""The barest statements that do what ours do: what our speed is held against."""

BARE_TABLE = """
CREATE TABLE IF NOT EXISTS bare_event (LIKE events_event INCLUDING DEFAULTS INCLUDING IDENTITY
    INCLUDING INDEXES)
"""
BARE_INSERT = """
INSERT INTO bare_event (source, environment, received_at, message_id, type, name, account_id,
    person_id, anonymous_id, actor, historical, occurred_at, properties, extra, problems)
SELECT 'key:0', 'production', %s, r.m, r.t, r.n, r.a, r.p, r.x, r.w, r.h, r.o, r.d, r.e, r.q
FROM jsonb_to_recordset(%s::jsonb) AS r(m text, t text, n text, a bigint, p bigint, x text, w text,
    h boolean, o timestamptz, d jsonb, e jsonb, q jsonb)
ON CONFLICT (source, message_id) DO NOTHING
"""
