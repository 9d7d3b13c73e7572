-- Two more kinds of rows: failures in a row, which only a success ends, and attempts a minute, whether they fail or not.
ALTER TABLE attempts
    DROP CONSTRAINT attempts_kind_check,
    ADD CONSTRAINT attempts_kind_check
        CHECK (kind IN ('pair', 'account', 'network', 'register', 'ceiling', 'rate'));
