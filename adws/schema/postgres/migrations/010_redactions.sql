-- How many secrets were kept out, by day, kind and table. The secrets themselves are nowhere.

CREATE TABLE IF NOT EXISTS redactions (
    day TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,
    entity TEXT COLLATE "C" NOT NULL,
    redaction_count BIGINT NOT NULL,
    PRIMARY KEY (day, kind, entity)
);
