-- Commands are done in lanes, one a target: '' is that of what is about none. One about
-- several targets has a part for each; the result of a part (NULL until it is done) is
-- kept until those of the others are there.
ALTER TABLE journal ADD COLUMN target TEXT NOT NULL DEFAULT '';

CREATE TABLE journal_parts (
    event_id TEXT NOT NULL REFERENCES journal (event_id) ON DELETE CASCADE,
    part INTEGER NOT NULL,
    target TEXT NOT NULL,
    payload TEXT NOT NULL,
    result TEXT,
    PRIMARY KEY (event_id, part)
) STRICT;

-- What was asked of each target and what came of it; its outcome is '' until it is known.
CREATE TABLE history (
    id INTEGER PRIMARY KEY,
    target TEXT NOT NULL,
    event_id TEXT NOT NULL,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    room_id TEXT NOT NULL,
    verb TEXT NOT NULL,
    from_replicas INTEGER,
    to_replicas INTEGER,
    outcome TEXT NOT NULL,
    seconds INTEGER
) STRICT;
CREATE INDEX history_by_target ON history (target);

-- How many replicas a target had before it was lowered.
CREATE TABLE previous_replicas (
    target TEXT PRIMARY KEY,
    uid TEXT NOT NULL,
    replicas INTEGER NOT NULL CHECK (replicas > 0)
) STRICT, WITHOUT ROWID;

-- Times of the wall clock at which a target is to be stopped.
CREATE TABLE timers (
    target TEXT PRIMARY KEY,
    uid TEXT NOT NULL,
    expected INTEGER NOT NULL,
    deadline_ms INTEGER NOT NULL,
    set_at_ms INTEGER NOT NULL,
    set_by TEXT NOT NULL,
    room_id TEXT NOT NULL,
    thread TEXT,
    command TEXT NOT NULL,
    warned_at_ms INTEGER
) STRICT;

-- Changes that were made and are followed until they have come about.
CREATE TABLE followed (
    target TEXT PRIMARY KEY,
    command TEXT NOT NULL,
    room_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    thread TEXT,
    verb TEXT NOT NULL,
    uid TEXT NOT NULL,
    generation INTEGER NOT NULL,
    replicas INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    edits INTEGER NOT NULL,
    stage TEXT NOT NULL,
    previous INTEGER NOT NULL,
    selector TEXT NOT NULL
) STRICT;

-- The time of the wall clock up to which the schedule of each target was acted on.
CREATE TABLE schedules (
    target TEXT PRIMARY KEY,
    handled_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- A message of the bot's has a name (`anchor`) by which a later one, which has other words
-- for it, finds it (`edits`), and the event that it became is kept.
ALTER TABLE replies ADD COLUMN anchor TEXT;
ALTER TABLE replies ADD COLUMN edits TEXT;

CREATE TABLE anchors (
    anchor TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
