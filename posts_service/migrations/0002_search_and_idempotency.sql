-- 'simple': posts are in any language, so words are only folded to lower case. ASCII punctuation counts as blank: the
-- parser would look for addresses, paths and tags in it, and needs minutes for 100,000 characters of "a_a_a_" or "<!--"
ALTER TABLE posts ADD COLUMN search tsvector NOT NULL
    GENERATED ALWAYS AS (to_tsvector('simple', translate(
        title || ' ' || body, $$!"#%&'()*+,-./:;<=>?@[\]^_`{|}~$$ || '$', repeat(' ', 32)
    ))) STORED;

CREATE INDEX posts_by_author ON posts (author_id, id DESC);
CREATE INDEX posts_by_tag ON posts USING gin (tags);
CREATE INDEX posts_by_word ON posts USING gin (search);

-- What was answered to a POST with an Idempotency-Key: with the request that comes again, enough to answer it again.
CREATE TABLE idempotency_keys (
    author_id    uuid NOT NULL,
    key          text NOT NULL,
    request_hash bytea NOT NULL,
    post_id      bigint NOT NULL,
    author_name  text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (author_id, key)
);

CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
