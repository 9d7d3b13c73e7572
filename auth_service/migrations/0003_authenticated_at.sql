-- When the user last proved to know the password in this session, by the clock that token times go by.
ALTER TABLE sessions ADD COLUMN authenticated_at timestamptz NOT NULL DEFAULT now();

UPDATE sessions SET authenticated_at = created_at;
