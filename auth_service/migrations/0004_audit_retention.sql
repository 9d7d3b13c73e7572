-- How old events are removed. The trigger refuses every DELETE, so it is switched off for the transaction; other
-- transactions that write events wait until it is on again. Only the owner of the table can do this.
CREATE INDEX audit_events_by_time ON audit_events (at);

CREATE FUNCTION prune_audit_events(days int, at_most int) RETURNS int LANGUAGE plpgsql AS $$
DECLARE
    removed int;
BEGIN
    IF days >= 30 THEN
        ALTER TABLE audit_events DISABLE TRIGGER audit_events_are_kept;
        DELETE FROM audit_events WHERE id IN (
            SELECT id FROM audit_events WHERE at < now() - make_interval(days => days) ORDER BY at LIMIT at_most
        );
        GET DIAGNOSTICS removed = ROW_COUNT;
        ALTER TABLE audit_events ENABLE TRIGGER audit_events_are_kept;
        IF removed > 0 THEN
            INSERT INTO audit_events (event, detail)
            VALUES ('audit_pruned', format('%s events older than %s days', removed, days));
        END IF;
        RETURN removed;
    END IF;
    RAISE EXCEPTION 'audit events of the last 30 days are kept';
END $$;

REVOKE EXECUTE ON FUNCTION prune_audit_events FROM PUBLIC;
