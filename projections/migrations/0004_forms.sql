-- What signals say in other forms than a direction or a return, and what they are judged against.
-- form: which one; stated: the number in it, null for directions; against: "BIRCH=0.5;CEDAR=0.5".
-- Null in rows of before. Runs once; never changes afterwards.

ALTER TABLE signals
    ADD COLUMN form text,
    ADD COLUMN stated double precision,
    ADD COLUMN against text;
