-- Log-ins before this make no network known; the operator's new password sets it. NULL: since the account was opened.
ALTER TABLE users ADD COLUMN networks_forgotten_at timestamptz;
