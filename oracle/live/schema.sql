-- The store of one oracle node. A reading is its message: the signature identifies nothing.
CREATE TABLE reading (
    message         BLOB PRIMARY KEY CHECK (length(message) = 52),
    signature       BLOB NOT NULL CHECK (length(signature) = 64),
    window_length_s INTEGER NOT NULL,
    window_index    INTEGER NOT NULL,
    received_s      INTEGER NOT NULL -- unix seconds of its first arrival
) STRICT, WITHOUT ROWID;
CREATE INDEX reading_by_window ON reading (window_length_s, window_index);

-- Samples of what was refused: one row however often it came, bounded in number and size.
CREATE TABLE refused (
    digest          BLOB PRIMARY KEY, -- sha256 of topic, reason and record
    meter_id        BLOB NOT NULL,    -- of its topic; empty if that is none
    reason          TEXT NOT NULL,
    message         BLOB NOT NULL CHECK (length(message) <= 52),
    signature       BLOB NOT NULL CHECK (length(signature) <= 64),
    window_length_s INTEGER,
    window_index    INTEGER,
    first_s         INTEGER NOT NULL,
    last_s          INTEGER NOT NULL,
    times           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX refused_by_meter ON refused (meter_id);
CREATE INDEX refused_by_window ON refused (window_length_s, window_index);

-- Readings that each meter sent on a day (UTC) of arrival.
CREATE TABLE sent (
    meter_id BLOB NOT NULL,
    day      INTEGER NOT NULL, -- unix seconds // 86400
    readings INTEGER NOT NULL,
    PRIMARY KEY (meter_id, day)
) STRICT, WITHOUT ROWID;

-- How much came: payloads, stored, duplicate, and refused by reason.
CREATE TABLE counter (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
