-- How much of its limit each user has used up, as one time: when everything is regained. A write moves it on. Rows whose
-- time is past are swept, so this table has a row for each user who wrote within the last minute or so. No index on
-- full_at: it would be written with every write, to save the sweep a look at a few pages.
CREATE TABLE write_allowances (
    user_id uuid PRIMARY KEY,
    full_at timestamptz NOT NULL
);
