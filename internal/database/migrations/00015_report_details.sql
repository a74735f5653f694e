-- What the timeline keeps of a report comes with the report. To build it here, from the conditions
-- that had come as JSON, was a seventh of this function's time where a report moves something.

-- +goose Up

-- +goose StatementBegin
DO $$
DECLARE
    before text := pg_get_functiondef(
        'store_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text)'::regprocedure);
BEGIN
    -- Beside the one before, which a binary of the version before calls.
    EXECUTE replace(before, 'r_request text', 'r_request text, r_details jsonb');
END
$$;
-- +goose StatementEnd

SELECT amend('store_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text, jsonb)',
    $$jsonb_build_object('controller_name', r_controller,
            'conditions', (SELECT coalesce(jsonb_agg(jsonb_build_object('type', e -> 'type', 'status', e -> 'status', 'reason', e -> 'reason')), '[]')
                           FROM jsonb_array_elements(r_conditions) e),
            'error_type', coalesce(r_error_type, ''), 'error_code', coalesce(r_error ->> 'error_code', ''))$$,
    'r_details');
SELECT like_clusters();

-- +goose Down

DROP FUNCTION store_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text, jsonb);
DROP FUNCTION store_nodepool_report(uuid, text, bigint, jsonb, jsonb, jsonb, text, boolean, text, bytea, bytea, interval, interval, text, jsonb);
