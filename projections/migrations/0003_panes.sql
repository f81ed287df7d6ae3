-- What happened to portfolios and sources in even stretches of time. Sums over rows are sums over
-- time: each thing counts in one row. Runs once; never changes afterwards.

CREATE TABLE portfolio_panes_shape (
    portfolio text,
    begins_at timestamptz,
    begins_at_ns bigint NOT NULL,
    ends_at timestamptz NOT NULL,
    ends_at_ns bigint NOT NULL,
    nav_before numeric NOT NULL,
    nav numeric NOT NULL,
    pnl numeric NOT NULL,
    gain numeric NOT NULL,
    gross double precision NOT NULL,
    gross_max double precision NOT NULL,
    net double precision NOT NULL,
    net_min double precision NOT NULL,
    net_max double precision NOT NULL,
    rounds bigint NOT NULL,
    decisions bigint NOT NULL,
    signals_used bigint NOT NULL,
    signals_new bigint NOT NULL,
    signals_dropped bigint NOT NULL,
    conflicts bigint NOT NULL,
    fills bigint NOT NULL,
    fills_late bigint NOT NULL,
    traded numeric NOT NULL,
    fees numeric NOT NULL,
    unpriced bigint NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (portfolio, begins_at)
);
SELECT timed('portfolio_panes', 'begins_at');

CREATE TABLE heard_panes_shape (
    portfolio text,
    source text,
    begins_at timestamptz,
    begins_at_ns bigint NOT NULL,
    used bigint NOT NULL,
    contested bigint NOT NULL,
    conflicts bigint NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (portfolio, source, begins_at)
);
SELECT timed('heard_panes', 'begins_at');
CREATE INDEX heard_panes_source ON heard_panes (source, begins_at);

CREATE TABLE source_panes_shape (
    source text,
    begins_at timestamptz,
    begins_at_ns bigint NOT NULL,
    ends_at timestamptz NOT NULL,
    ends_at_ns bigint NOT NULL,
    accepted bigint NOT NULL,
    rejected bigint NOT NULL,
    withdrawals_refused bigint NOT NULL,
    late bigint NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (source, begins_at)
);
SELECT timed('source_panes', 'begins_at');
