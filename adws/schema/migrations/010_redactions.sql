-- How many secrets were kept out, by day, kind and table. The secrets themselves are nowhere.

CREATE TABLE IF NOT EXISTS redactions (
    day TEXT NOT NULL,
    kind TEXT NOT NULL,
    entity TEXT NOT NULL,
    redaction_count INTEGER NOT NULL,
    PRIMARY KEY (day, kind, entity)
) WITHOUT ROWID;
