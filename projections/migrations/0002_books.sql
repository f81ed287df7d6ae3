-- What views of portfolios tell since books are kept in full, and what corporate actions made of
-- holdings. Columns are null in rows of events from before. Runs once; never changes afterwards.

ALTER TABLE portfolio_history
    ADD COLUMN available numeric,
    ADD COLUMN gain numeric,
    ADD COLUMN unrealised numeric,
    ADD COLUMN concentration double precision,
    ADD COLUMN drawdown double precision;

ALTER TABLE portfolio_views
    ADD COLUMN available numeric,
    ADD COLUMN gain numeric,
    ADD COLUMN unrealised numeric,
    ADD COLUMN concentration double precision,
    ADD COLUMN drawdown double precision;

ALTER TABLE holdings
    ADD COLUMN cost numeric,
    ADD COLUMN unrealised numeric;

CREATE TABLE holding_changes_shape (
    action_id text,
    portfolio text,
    instrument text NOT NULL,
    kind text NOT NULL,
    at timestamptz,
    at_ns bigint NOT NULL,
    quantity_before numeric NOT NULL,
    quantity numeric NOT NULL,
    into_instrument text,
    into_quantity numeric NOT NULL,
    cash numeric NOT NULL,
    currency text NOT NULL,
    as_of_shard integer NOT NULL,
    as_of_seq bigint NOT NULL,
    PRIMARY KEY (action_id, portfolio, at)
);
SELECT timed('holding_changes', 'at');
