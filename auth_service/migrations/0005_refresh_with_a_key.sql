-- For a client that sent an idempotency key with the predecessor: what proves that it has both, and the nonce, which takes
-- both to read. Until the present secret is used, for a day at most.
ALTER TABLE sessions
    ADD COLUMN key_hash     bytea,
    ADD COLUMN sealed_nonce bytea;

CREATE INDEX sessions_sealed ON sessions (rotated_at) WHERE sealed_nonce IS NOT NULL;
