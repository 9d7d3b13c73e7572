CREATE TABLE posts (
    -- the newest first is the highest id first: no second column to sort by
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_id   uuid NOT NULL,
    author_name text NOT NULL,
    title       text NOT NULL,
    body        text NOT NULL,
    tags        text[] NOT NULL,
    version     int NOT NULL DEFAULT 1,
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now()
);
