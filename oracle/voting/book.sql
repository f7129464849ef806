-- What an oracle node offered, signed and heard, and the keys that it has for now.
CREATE TABLE offer ( -- its own too
    number    INTEGER PRIMARY KEY, -- in the order in which they came
    zone      INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    place     TEXT NOT NULL,
    node      BLOB NOT NULL CHECK (length(node) = 20),
    digest    BLOB NOT NULL CHECK (length(digest) = 32),
    prices    BLOB NOT NULL,
    commitments BLOB NOT NULL,
    metered   BLOB NOT NULL,
    actual    INTEGER NOT NULL,
    estimated INTEGER NOT NULL,
    by_default INTEGER NOT NULL,
    UNIQUE (zone, day, run, place, node, digest)
) STRICT;

CREATE TABLE vote ( -- of others: two digests of one node are a breach, and are kept
    zone      INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    place     TEXT NOT NULL,
    node      BLOB NOT NULL CHECK (length(node) = 20),
    digest    BLOB NOT NULL CHECK (length(digest) = 32),
    signature BLOB NOT NULL CHECK (length(signature) = 65),
    PRIMARY KEY (zone, day, run, place, node, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE draft ( -- what this node computed and has on its disk, before it is offered
    zone      INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    place     TEXT NOT NULL,
    digest    BLOB NOT NULL CHECK (length(digest) = 32),
    struct    BLOB NOT NULL CHECK (length(struct) = 32), -- its file among those signed
    PRIMARY KEY (zone, day, run, place, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE choice ( -- what this node signs: one digest for a slot, for ever
    zone      INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    place     TEXT NOT NULL,
    digest    BLOB NOT NULL CHECK (length(digest) = 32),
    PRIMARY KEY (zone, day, run, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE spent ( -- slots that the contract takes nothing for, and why
    zone      INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    place     TEXT NOT NULL,
    why       TEXT NOT NULL,
    PRIMARY KEY (zone, day, run, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE done ( -- runs that are on chain and were looked at: by zone
    zone      INTEGER NOT NULL,
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    PRIMARY KEY (zone, day, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE finished ( -- runs that are on chain in all zones
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    PRIMARY KEY (day, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE day_key ( -- of runs that are not finished
    day       INTEGER NOT NULL,
    run       INTEGER NOT NULL,
    key       BLOB NOT NULL CHECK (length(key) = 32),
    PRIMARY KEY (day, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE secret ( -- one row
    only      INTEGER PRIMARY KEY CHECK (only = 0),
    date      TEXT NOT NULL,
    value     BLOB NOT NULL CHECK (length(value) = 32)
) STRICT;
