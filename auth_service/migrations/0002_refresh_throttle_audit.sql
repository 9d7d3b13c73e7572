-- Sessions opened before this have no refresh token and so could not be continued: their users sign in once more.
DELETE FROM sessions;

ALTER TABLE sessions
    -- which session a refresh token belongs to, and whether it is the one to use: hashes, so that a copy of this table
    -- makes no token
    ADD COLUMN family_hash   bytea NOT NULL UNIQUE,
    ADD COLUMN secret_hash   bytea NOT NULL,
    -- the predecessor, and what makes the present secret of it; both only during the grace after a rotation
    ADD COLUMN previous_hash bytea,
    ADD COLUMN nonce         bytea,
    ADD COLUMN rotated_at    timestamptz,
    ADD COLUMN device        text NOT NULL,
    ADD COLUMN address       inet NOT NULL,
    ADD COLUMN last_used_at  timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN expires_at    timestamptz NOT NULL;

CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_in_grace ON sessions (rotated_at) WHERE nonce IS NOT NULL;

CREATE INDEX users_by_time ON users (created_at DESC, id DESC);
CREATE INDEX admins ON users (id) WHERE role = 'admin';

-- One row for each thing that is guessed at or from: an account from a network, an account, a network.
CREATE TABLE attempts (
    key         bytea PRIMARY KEY,
    kind        text NOT NULL CHECK (kind IN ('pair', 'account', 'network', 'register')),
    failures    int NOT NULL,
    window_ends timestamptz NOT NULL,
    allowed_at  timestamptz NOT NULL
);

CREATE INDEX attempts_by_end ON attempts ((greatest(window_ends, allowed_at)));

-- Networks from which an account was signed in to: they do not feel what others do to it.
CREATE TABLE known_networks (
    key          bytea PRIMARY KEY,
    last_used_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX known_networks_by_use ON known_networks (last_used_at);

CREATE TABLE audit_events (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at         timestamptz NOT NULL DEFAULT now(),
    event      text NOT NULL,
    -- no foreign keys: what happened stays known when the account is gone
    user_id    uuid,
    actor_id   uuid,
    session_id uuid,
    address    inet,
    detail     text
);

CREATE INDEX audit_events_of_user ON audit_events (user_id, id DESC);

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'audit events are only ever added';
END $$;

CREATE TRIGGER audit_events_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
