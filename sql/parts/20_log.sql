-------------------------------------------------------------------------------
-- The log: written by capture and by the dispatcher, never by users
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.event (
	id uuid NOT NULL,
	xid xid8 NOT NULL,
	type text NOT NULL,
	application text,
	channel text,
	message_id text,
	reply_to text,
	endpoint_id bigint,
	occurred_at timestamptz NOT NULL,
	created_at timestamptz NOT NULL,
	data json NOT NULL,
	expires_at timestamptz,
	PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE INDEX event_xid_id_idx ON bm_webhook.event (xid, id);
-- with what an owner's policy asks, so that nothing of another's is fetched, and counted by EXPLAIN
CREATE INDEX event_message_id_idx ON bm_webhook.event (message_id, application, id) WHERE message_id IS NOT NULL;
COMMENT ON TABLE bm_webhook.event IS 'what happened, written in the transaction that caused it';
COMMENT ON COLUMN bm_webhook.event.id IS 'UUID version 7; the webhook-id of every request for this event';
COMMENT ON COLUMN bm_webhook.event.xid IS 'the transaction that captured it';
COMMENT ON COLUMN bm_webhook.event.reply_to IS
	'the message that a message.received answers (data.context.message_id); endpoints that subscribe to '
	'message.replied get it';
COMMENT ON COLUMN bm_webhook.event.endpoint_id IS 'set when the event is for one endpoint alone (ping)';
COMMENT ON COLUMN bm_webhook.event.occurred_at IS 'when it happened; the timestamp in the body';
COMMENT ON COLUMN bm_webhook.event.created_at IS 'when it was captured';
COMMENT ON COLUMN bm_webhook.event.expires_at IS
	'from then on it is not sent any more, but canceled; NULL: never';

CREATE TABLE bm_webhook.delivery (
	event_id uuid NOT NULL,
	endpoint_id bigint NOT NULL,
	status text NOT NULL CHECK (status IN ('pending', 'delivered', 'failed', 'canceled')),
	attempts integer NOT NULL,
	next_attempt_at timestamptz,
	first_attempt_at timestamptz,
	last_attempt_at timestamptz,
	http_status integer,
	error_class text,
	error text,
	duration interval,
	name_us integer,
	connect_us integer,
	tls_us integer,
	first_byte_us integer,
	PRIMARY KEY (event_id, endpoint_id)
) PARTITION BY RANGE (event_id);
CREATE INDEX delivery_due_idx ON bm_webhook.delivery (endpoint_id, next_attempt_at) WHERE status = 'pending';
CREATE INDEX delivery_failed_idx ON bm_webhook.delivery (endpoint_id, event_id) WHERE status = 'failed';
CREATE INDEX delivery_pending_idx ON bm_webhook.delivery (endpoint_id, event_id) WHERE status = 'pending';
COMMENT ON TABLE bm_webhook.delivery IS
	'one event on its way to one endpoint, with the facts of its last attempt; name_us to first_byte_us are microseconds '
	'from its start, of one that was delivered over a new connection';
COMMENT ON COLUMN bm_webhook.delivery.status IS 'pending, delivered, failed (given up) or canceled';
COMMENT ON COLUMN bm_webhook.delivery.next_attempt_at IS
	'when it is due; infinity: it waits for an earlier event of its message';
COMMENT ON COLUMN bm_webhook.delivery.duration IS 'of the last attempt';

CREATE TABLE bm_webhook.failed_attempt (
	event_id uuid NOT NULL,
	endpoint_id bigint NOT NULL,
	attempt integer NOT NULL,
	attempted_at timestamptz NOT NULL,
	error_class text NOT NULL,
	http_status integer,
	error text,
	name_time interval,
	connect_time interval,
	tls_time interval,
	first_byte_time interval,
	total_time interval,
	response text
) PARTITION BY RANGE (event_id);
CREATE INDEX failed_attempt_event_id_idx ON bm_webhook.failed_attempt (event_id, endpoint_id);
COMMENT ON TABLE bm_webhook.failed_attempt IS 'an attempt that failed; the times count from its start';
COMMENT ON COLUMN bm_webhook.failed_attempt.response IS 'the first 2 KB of the response, if it is text';

CREATE TABLE bm_webhook.redelivery (
	event_id uuid NOT NULL,
	endpoint_id bigint NOT NULL,
	asked_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	asked_by name NOT NULL DEFAULT session_user,
	status text NOT NULL,
	attempts integer NOT NULL,
	last_attempt_at timestamptz,
	http_status integer,
	duration interval
);
CREATE INDEX redelivery_event_id_idx ON bm_webhook.redelivery (event_id, endpoint_id);
COMMENT ON TABLE bm_webhook.redelivery IS
	'what redeliver() was asked for: who asked, and the delivery as it was before';

CREATE TABLE bm_webhook.set_aside (
	event_id uuid NOT NULL,
	endpoint_id bigint NOT NULL,
	since timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	cause text NOT NULL,
	sqlstate text NOT NULL,
	status text NOT NULL,
	attempts integer NOT NULL,
	next_attempt_at timestamptz,
	first_attempt_at timestamptz,
	last_attempt_at timestamptz,
	http_status integer,
	error_class text,
	error text,
	duration interval,
	is_failed_attempt boolean NOT NULL,
	is_exhausted boolean NOT NULL,
	name_time interval,
	connect_time interval,
	tls_time interval,
	first_byte_time interval,
	response text,
	asked_by name,
	PRIMARY KEY (event_id, endpoint_id)
);
-- both have both columns: whichever the planner takes, a look-up is exact
CREATE INDEX set_aside_endpoint_id_idx ON bm_webhook.set_aside (endpoint_id, event_id);
COMMENT ON TABLE bm_webhook.set_aside IS
	'outcomes that the log refused, by a constraint or a trigger of yours: these deliveries are neither sent nor '
	'changed until retry_set_aside() has recorded them; deliveries of which the dispatcher crashed three times '
	'(error_class crash), which are not sent until retry_set_aside(); and deliveries that set_aside() was called for, '
	'which are not sent until put_back()';
COMMENT ON COLUMN bm_webhook.set_aside.since IS 'when the log refused it';
COMMENT ON COLUMN bm_webhook.set_aside.cause IS 'the error, at the last try';
COMMENT ON COLUMN bm_webhook.set_aside.status IS 'what delivery is to say; here and in the next columns';
COMMENT ON COLUMN bm_webhook.set_aside.is_failed_attempt IS 'failed_attempt is to have a row, too';
COMMENT ON COLUMN bm_webhook.set_aside.is_exhausted IS 'delivery.exhausted is to be emitted';
COMMENT ON COLUMN bm_webhook.set_aside.asked_by IS
	'who has called set_aside(), and cause is why; the other columns are what the delivery was. NULL: the log refused '
	'the outcome, or the dispatcher crashed';

CREATE TABLE bm_webhook.cursor (
	shard integer PRIMARY KEY,
	shards integer NOT NULL,
	snapshot pg_snapshot NOT NULL,
	since timestamptz NOT NULL,
	updated_at timestamptz NOT NULL
) WITH (fillfactor = 50);
COMMENT ON TABLE bm_webhook.cursor IS 'how far intake is settled: one row for each dispatcher';
COMMENT ON COLUMN bm_webhook.cursor.snapshot IS
	'every event that this snapshot sees has a row in delivery for each of its endpoints';
COMMENT ON COLUMN bm_webhook.cursor.since IS 'events that the snapshot does not see were captured after this time';

INSERT INTO bm_webhook.cursor
	VALUES (0, 1, pg_catalog.pg_current_snapshot(), pg_catalog.clock_timestamp(), pg_catalog.clock_timestamp());

