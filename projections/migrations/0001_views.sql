-- The views as tables. Runs once, inside the schema that is being filled (search_path points to it).
-- Times stand twice: as timestamptz, to the microsecond, and as *_ns, exact nanoseconds since 1970.
-- as_of_shard and as_of_seq: what a row was made from; a newer one takes its place, never an older.
-- This file never changes once it was applied anywhere: the next change is the next file.

CREATE TABLE projection (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    build text NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE projection IS 'Which build of the views this schema is; another one after each rebuild.';

CREATE TABLE checkpoints (
    topic text,
    shard integer,
    as_of bigint NOT NULL,
    next bigint NOT NULL,
    journal_time timestamptz NOT NULL,
    mark text NOT NULL,
    written_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, shard)
);
COMMENT ON TABLE checkpoints IS 'How far each topic and shard is projected; written with the rows, in one transaction.';
COMMENT ON COLUMN checkpoints.as_of IS 'Of decisions: last seq; of the journal: last position read.';

-- Makes NAME of the table NAME_shape: partitioned by month on a column of time, with a partition for
-- times that no month was made for; a hypertable where TimescaleDB is installed in the database.
CREATE FUNCTION timed(name text, moment text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    extension_schema text;
BEGIN
    SELECT n.nspname INTO extension_schema FROM pg_extension e
        JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb';
    IF extension_schema IS NOT NULL THEN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)', name, name || '_shape');
        EXECUTE format(
            'SELECT %I.create_hypertable(%L::regclass, %L::name, chunk_time_interval => interval ''1 month'', create_default_indexes => false)',
            extension_schema, quote_ident(name), moment);
    ELSE
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) PARTITION BY RANGE (%I)',
            name, name || '_shape', moment);
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', name || '_default', name);
    END IF;
    EXECUTE format('DROP TABLE %I', name || '_shape');
END
$$;

CREATE TABLE decisions_shape (
    decision_id text,
    portfolio text NOT NULL,
    round bigint NOT NULL,
    position bigint NOT NULL,
    decided_at timestamptz,
    decided_at_ns bigint NOT NULL,
    mode text NOT NULL,
    nav numeric NOT NULL,
    horizon_sessions double precision NOT NULL,
    valid_sessions bigint NOT NULL,
    valid_until timestamptz,
    valid_until_ns bigint,
    priority double precision NOT NULL,
    rung text NOT NULL,
    solver text NOT NULL,
    status text NOT NULL,
    turnover double precision NOT NULL,
    cost double precision NOT NULL,
    expected_return double precision NOT NULL,
    volatility double precision NOT NULL,
    gross double precision NOT NULL,
    net double precision NOT NULL,
    cash double precision NOT NULL,
    positions bigint NOT NULL,
    signals bigint NOT NULL,
    trades bigint NOT NULL,
    objective double precision NOT NULL,
    violation double precision NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (decision_id, decided_at)
);
SELECT timed('decisions', 'decided_at');
CREATE INDEX decisions_portfolio ON decisions (portfolio, decided_at);

CREATE TABLE trades_shape (
    trade_id text,
    decision_id text NOT NULL,
    portfolio text NOT NULL,
    instrument text NOT NULL,
    decided_at timestamptz,
    decided_at_ns bigint NOT NULL,
    quantity numeric NOT NULL,
    price double precision NOT NULL,
    weight double precision NOT NULL,
    cost double precision NOT NULL,
    urgency double precision NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (trade_id, decided_at)
);
SELECT timed('trades', 'decided_at');
CREATE INDEX trades_portfolio ON trades (portfolio, decided_at);

CREATE TABLE signal_uses_shape (
    decision_id text,
    signal text,
    portfolio text NOT NULL,
    strategy text NOT NULL,
    instrument text NOT NULL,
    decided_at timestamptz,
    decided_at_ns bigint NOT NULL,
    verdict text NOT NULL,
    score double precision NOT NULL,
    skill double precision NOT NULL,
    expected_return double precision NOT NULL,
    own double precision NOT NULL,
    utility double precision NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (decision_id, signal, decided_at)
);
SELECT timed('signal_uses', 'decided_at');
CREATE INDEX signal_uses_signal ON signal_uses (signal, decided_at);

CREATE TABLE conflicts_shape (
    decision_id text,
    ordinal bigint,
    portfolio text NOT NULL,
    decided_at timestamptz,
    decided_at_ns bigint NOT NULL,
    kind text NOT NULL,
    instruments text[] NOT NULL,
    signals text[] NOT NULL,
    severity double precision NOT NULL,
    resolution text NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (decision_id, ordinal, decided_at)
);
SELECT timed('conflicts', 'decided_at');
CREATE INDEX conflicts_portfolio ON conflicts (portfolio, decided_at);

CREATE TABLE rounds_shape (
    decision_id text,
    portfolio text NOT NULL,
    round bigint NOT NULL,
    decided_at timestamptz,
    decided_at_ns bigint NOT NULL,
    opened_at timestamptz NOT NULL,
    opened_at_ns bigint NOT NULL,
    trigger text NOT NULL,
    outcome text NOT NULL,
    signals_used text[] NOT NULL,
    signals_new bigint NOT NULL,
    signals_dropped text[] NOT NULL,
    conflicts bigint NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (decision_id, decided_at)
);
SELECT timed('rounds', 'decided_at');
CREATE INDEX rounds_portfolio ON rounds (portfolio, decided_at);

CREATE TABLE quality_shape (
    decision_id text,
    portfolio text NOT NULL,
    decided_at timestamptz,
    decided_at_ns bigint,
    score double precision NOT NULL,
    parts text[] NOT NULL,
    part_scores double precision[] NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (decision_id, decided_at, decided_at_ns)
);
SELECT timed('quality', 'decided_at');
CREATE INDEX quality_portfolio ON quality (portfolio, decided_at);

CREATE TABLE signals_shape (
    source text,
    signal_id text,
    strategy text NOT NULL,
    instrument text NOT NULL,
    event_time timestamptz,
    event_time_ns bigint,
    direction bigint,
    strength double precision,
    expected_return double precision,
    confidence double precision,
    horizon_sessions double precision,
    expires_at timestamptz,
    expires_at_ns bigint,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (source, signal_id, event_time, event_time_ns)
);
SELECT timed('signals', 'event_time');
CREATE INDEX signals_instrument ON signals (instrument, event_time);

CREATE TABLE signal_verdicts_shape (
    source text,
    signal_id text,
    verdict text,
    reason text,
    detail text NOT NULL,
    instrument text,
    position bigint NOT NULL,
    at timestamptz,
    at_ns bigint,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (source, signal_id, verdict, reason, at, at_ns)
);
SELECT timed('signal_verdicts', 'at');

CREATE TABLE withdrawals_shape (
    source text,
    signal_id text,
    event_time timestamptz,
    event_time_ns bigint,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (source, signal_id, event_time, event_time_ns)
);
SELECT timed('withdrawals', 'event_time');

CREATE TABLE fills_shape (
    portfolio text,
    event_id text,
    instrument text NOT NULL,
    trade_id text,
    event_time timestamptz,
    event_time_ns bigint,
    quantity numeric NOT NULL,
    price numeric NOT NULL,
    fee numeric NOT NULL,
    complete boolean NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (portfolio, event_id, event_time, event_time_ns)
);
SELECT timed('fills', 'event_time');
CREATE INDEX fills_portfolio ON fills (portfolio, event_time);

CREATE TABLE trade_ends_shape (
    trade_id text,
    outcome text,
    portfolio text NOT NULL,
    reason text NOT NULL,
    at timestamptz,
    at_ns bigint,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (trade_id, outcome, at, at_ns)
);
SELECT timed('trade_ends', 'at');

CREATE TABLE incidents_shape (
    kind text NOT NULL,
    event text,
    event_id text,
    portfolio text,
    detail text NOT NULL,
    position bigint NOT NULL,
    at timestamptz,
    at_ns bigint NOT NULL,
    as_of_shard integer,
    as_of_seq bigint,
    PRIMARY KEY (as_of_shard, as_of_seq, at)
);
SELECT timed('incidents', 'at');

CREATE TABLE portfolio_history_shape (
    portfolio text,
    at timestamptz,
    at_ns bigint NOT NULL,
    nav numeric NOT NULL,
    cash numeric NOT NULL,
    gross double precision NOT NULL,
    net double precision NOT NULL,
    open_trades bigint NOT NULL,
    traded numeric NOT NULL,
    fees numeric NOT NULL,
    fills bigint NOT NULL,
    as_of_shard integer,
    as_of_seq bigint,
    PRIMARY KEY (portfolio, at, as_of_shard, as_of_seq)
);
SELECT timed('portfolio_history', 'at');

CREATE TABLE portfolio_views (
    portfolio text PRIMARY KEY,
    at timestamptz NOT NULL,
    at_ns bigint NOT NULL,
    nav numeric NOT NULL,
    cash numeric NOT NULL,
    gross double precision NOT NULL,
    net double precision NOT NULL,
    open_trades bigint NOT NULL,
    traded numeric NOT NULL,
    fees numeric NOT NULL,
    fills bigint NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL
);
COMMENT ON TABLE portfolio_views IS 'Each portfolio as it stands now; portfolio_history has what was before.';

CREATE TABLE holdings (
    portfolio text,
    instrument text,
    at timestamptz NOT NULL,
    at_ns bigint NOT NULL,
    quantity numeric NOT NULL,
    price double precision,
    weight double precision NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (portfolio, instrument)
);
COMMENT ON TABLE holdings IS 'The positions of portfolio_views, with the same as_of.';

CREATE TABLE portfolios (
    portfolio text PRIMARY KEY,
    opened_at timestamptz NOT NULL,
    opened_at_ns bigint NOT NULL,
    currency text NOT NULL,
    cash numeric NOT NULL,
    mode text NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL
);
