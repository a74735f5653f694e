-- A report that moves something pulled the next wake-up forward, and wrote the place in the schedule when a
-- wake-up as near was there already: where many controllers report within one debounce, for all but the first.

-- +goose Up

-- +goose StatementBegin
-- amend changes one part of a function, and fails when the part is not in it just once.
CREATE FUNCTION amend(amended regprocedure, part text, instead text) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    whole text := pg_get_functiondef(amended);
BEGIN
    IF length(replace(whole, part, '')) <> length(whole) - length(part) THEN
        RAISE '% has not just one part: %', amended, part;
    END IF;
    EXECUTE replace(whole, part, instead);
END
$$;
-- +goose StatementEnd

SELECT amend('store_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text)',
    'WHERE s.cluster_id = r_cluster;',
    'WHERE s.cluster_id = r_cluster AND (s.next_reconcile_at > p.at OR s.reactive_wakes <> p.wakes);');
SELECT like_clusters();

-- +goose Down

SELECT amend('store_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text)',
    'WHERE s.cluster_id = r_cluster AND (s.next_reconcile_at > p.at OR s.reactive_wakes <> p.wakes);',
    'WHERE s.cluster_id = r_cluster;');
SELECT like_clusters();
DROP FUNCTION amend(regprocedure, text, text);
