-------------------------------------------------------------------------------
-- Registration: written by users
-------------------------------------------------------------------------------

CREATE TABLE bm_webhook.application (
	name text PRIMARY KEY CHECK (name ~ '^[^[:cntrl:]]{1,128}$'),
	owner regrole NOT NULL DEFAULT pg_catalog.quote_ident(current_user)::regrole,
	description text,
	muted_event_types text[] NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	deleted_at timestamptz,
	paused_at timestamptz,
	rate_limit integer,
	rate_burst integer,
	max_endpoints integer DEFAULT 1000,
	max_event_types integer,
	max_secrets integer,
	max_in_flight integer,
	max_emit_rate integer,
	max_waiting integer DEFAULT 10000000
);
CREATE INDEX application_owner_idx ON bm_webhook.application (owner);
COMMENT ON TABLE bm_webhook.application IS 'a customer or product that owns endpoints';
COMMENT ON COLUMN bm_webhook.application.muted_event_types IS
	'patterns of types that none of its events is sent for, such as {message.read}; they are recorded all the same';
COMMENT ON COLUMN bm_webhook.application.owner IS
	'the role that it belongs to, whatever it is called; -: nobody';
COMMENT ON COLUMN bm_webhook.application.deleted_at IS
	'when delete_application() was called, or the last event that names it came after; it stays for its log, so that '
	'nobody else gets its name';
COMMENT ON COLUMN bm_webhook.application.paused_at IS
	'when pause() was called for it: what is for its endpoints waits until resume()';
COMMENT ON COLUMN bm_webhook.application.rate_limit IS
	'requests a second to all its endpoints together; 1 to 10000; null: no limit';
COMMENT ON COLUMN bm_webhook.application.rate_burst IS
	'requests that may start at once after a pause, 1 to 10000; null: one';
COMMENT ON COLUMN bm_webhook.application.max_endpoints IS
	'endpoints that it may have, deleted ones not counted; NULL: no limit';
COMMENT ON COLUMN bm_webhook.application.max_event_types IS
	'patterns that event_types of each of its endpoints may have, 1 to 100; NULL: 100';
COMMENT ON COLUMN bm_webhook.application.max_secrets IS
	'secrets that each of its endpoints may have, 2 to 16; NULL: 16';
COMMENT ON COLUMN bm_webhook.application.max_in_flight IS
	'requests in flight to all its endpoints together, 1 to 10000; NULL: no limit';
COMMENT ON COLUMN bm_webhook.application.max_emit_rate IS
	'events a second that emit(), ping() and the message functions accept for it, 1 to 100000; NULL: no limit';
COMMENT ON COLUMN bm_webhook.application.max_waiting IS
	'deliveries to all its endpoints that may wait: with so many, emit(), ping() and the message functions accept '
	'nothing for it, and what its watches capture is canceled; 1 to 1000000000; NULL: no limit';

CREATE TABLE bm_webhook.endpoint (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	application text REFERENCES bm_webhook.application (name),
	channel text CHECK (channel ~ '^[a-z][a-z0-9_-]{0,31}$'),
	event_types text[] NOT NULL DEFAULT '{*}',
	url text,
	description text,
	enabled boolean NOT NULL DEFAULT true,
	headers jsonb NOT NULL DEFAULT '{}',
	timeout interval NOT NULL DEFAULT '15 s',
	max_in_flight integer NOT NULL DEFAULT 128,
	ordering text NOT NULL DEFAULT 'none' CHECK (ordering IN ('none', 'by_message')),
	retry_delays interval[] NOT NULL DEFAULT '{5 s,5 min,30 min,2 h,5 h,10 h,14 h,20 h,24 h}',
	metadata jsonb NOT NULL DEFAULT '{}',
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	updated_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	deleted_at timestamptz,
	events_since timestamptz,
	paused_at timestamptz,
	ttl interval,
	rate_limit integer,
	rate_burst integer,
	filter jsonpath,
	payload text NOT NULL DEFAULT 'full' CHECK (payload IN ('full', 'thin')),
	signature_header text,
	signature_scheme text,
	credentials text,
	credentials_key_id text,
	ca_certificates text,
	use_proxy boolean DEFAULT true,
	CHECK (url IS NOT NULL OR deleted_at IS NOT NULL)
);
CREATE INDEX endpoint_application_idx ON bm_webhook.endpoint (application);
CREATE INDEX endpoint_deleted_at_idx ON bm_webhook.endpoint (deleted_at) WHERE deleted_at IS NOT NULL;
COMMENT ON COLUMN bm_webhook.endpoint.ca_certificates IS
	'PEM of the authorities that its server''s certificate may be of, instead of the trusted ones; NULL: those';
COMMENT ON COLUMN bm_webhook.endpoint.use_proxy IS
	'through bm_webhook.proxy, if there is one (NULL: likewise); only an administrator can change it';
ALTER TABLE bm_webhook.endpoint ALTER COLUMN credentials SET STATISTICS 0;
COMMENT ON COLUMN bm_webhook.endpoint.credentials IS
	'the values of headers, encrypted; NULL: headers has them';
COMMENT ON COLUMN bm_webhook.endpoint.credentials_key_id IS
	'the key of bm_webhook.secret_key_file that credentials is encrypted with';
COMMENT ON COLUMN bm_webhook.endpoint.signature_header IS
	'name of a further header with a signature, such as x-hub-signature-256; NULL: there is none';
COMMENT ON COLUMN bm_webhook.endpoint.signature_scheme IS
	'what is in signature_header: sha256 (sha256=..., as GitHub and Meta), hex, or stripe (t=...,v1=...); HMAC-SHA256 '
	'with the text of the newest shared secret as key';
COMMENT ON TABLE bm_webhook.endpoint IS 'a registered URL, with its filters and retry policy; only url is required';
COMMENT ON COLUMN bm_webhook.endpoint.application IS 'only events of this application; NULL for all';
COMMENT ON COLUMN bm_webhook.endpoint.channel IS 'only events of this channel; NULL for all';
COMMENT ON COLUMN bm_webhook.endpoint.event_types IS
	'patterns: a type, a prefix followed by .*, or * for all but the operational webhook.*, endpoint.*, delivery.*';
COMMENT ON COLUMN bm_webhook.endpoint.url IS 'where to POST; stored in normal form; NULL once it is deleted';
COMMENT ON COLUMN bm_webhook.endpoint.enabled IS 'off: gets no new events, and what waits stays pending';
COMMENT ON COLUMN bm_webhook.endpoint.headers IS
	'further HTTP headers, an object of strings; where they are encrypted it shows ******** for each value';
COMMENT ON COLUMN bm_webhook.endpoint.timeout IS 'for one attempt, connecting included; up to 5 minutes';
COMMENT ON COLUMN bm_webhook.endpoint.max_in_flight IS 'requests at the same time; 1 to 5000';
COMMENT ON COLUMN bm_webhook.endpoint.ordering IS
	'by_message: an event is sent when the earlier ones of its message have been delivered or given up';
COMMENT ON COLUMN bm_webhook.endpoint.retry_delays IS
	'delay before each further attempt, each with a jitter of 20 %; empty for no retry';
COMMENT ON COLUMN bm_webhook.endpoint.metadata IS 'yours; not sent';
COMMENT ON COLUMN bm_webhook.endpoint.deleted_at IS
	'when delete_endpoint() was called; without URL, headers and secrets it stays for its log, and nothing changes '
	'it any more';

COMMENT ON COLUMN bm_webhook.endpoint.ttl IS
	'an event that was captured longer ago is not sent any more, but canceled; NULL: however old';
COMMENT ON COLUMN bm_webhook.endpoint.rate_limit IS 'requests a second; 1 to 10000; null: no limit';
COMMENT ON COLUMN bm_webhook.endpoint.rate_burst IS
	'requests that may start at once after a pause, 1 to 10000; null: one';
COMMENT ON COLUMN bm_webhook.endpoint.filter IS
	'only events whose whole body this predicate is true of, as the operator @@ says; NULL: no filter';
COMMENT ON COLUMN bm_webhook.endpoint.payload IS
	'full, or thin: the body without data, for who fetches what he may see';
COMMENT ON COLUMN bm_webhook.endpoint.paused_at IS
	'when pause() was called: what is for it waits until resume(), and nothing is missed';
COMMENT ON COLUMN bm_webhook.endpoint.events_since IS
	'events captured before are not for it; NULL: those before created_at; set by recover()';

-- A table of its own: what dispatchers write is no change of the endpoint, and nobody else can write it.
CREATE TABLE bm_webhook.endpoint_state (
	endpoint_id bigint PRIMARY KEY REFERENCES bm_webhook.endpoint (id) ON DELETE CASCADE,
	failing_since timestamptz,
	disabled_at timestamptz,
	disabled_reason text,
	unverified_since timestamptz,
	verified_at timestamptz,
	verification_error text
);
COMMENT ON TABLE bm_webhook.endpoint_state IS 'what became of each endpoint; written by the extension alone';
COMMENT ON COLUMN bm_webhook.endpoint_state.failing_since IS
	'since when every attempt has failed; NULL when the last one succeeded';
COMMENT ON COLUMN bm_webhook.endpoint_state.disabled_at IS 'when endpoint.enabled became false';
COMMENT ON COLUMN bm_webhook.endpoint_state.disabled_reason IS 'why the dispatcher disabled it; NULL when a user did';
COMMENT ON COLUMN bm_webhook.endpoint_state.unverified_since IS
	'since when it is to prove that its URL is meant to get webhooks; NULL: it has, or need not';
COMMENT ON COLUMN bm_webhook.endpoint_state.verified_at IS 'when it has, or mark_verified() was called';
COMMENT ON COLUMN bm_webhook.endpoint_state.verification_error IS
	'what came of the last challenge; NULL: there was none, or it was met';

CREATE TABLE bm_webhook.endpoint_secret (
	id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	endpoint_id bigint NOT NULL REFERENCES bm_webhook.endpoint (id) ON DELETE CASCADE,
	secret text NOT NULL,
	kind text NOT NULL DEFAULT 'hmac_sha256' CHECK (kind IN ('hmac_sha256', 'ed25519',
		'client_certificate')),
	key_id text,
	created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	expires_at timestamptz
);
ALTER TABLE bm_webhook.endpoint_secret ALTER COLUMN secret SET STATISTICS 0;
CREATE INDEX endpoint_secret_endpoint_id_id_idx ON bm_webhook.endpoint_secret (endpoint_id, id);
CREATE INDEX endpoint_secret_expires_at_idx ON bm_webhook.endpoint_secret (expires_at) WHERE expires_at IS NOT NULL;
COMMENT ON TABLE bm_webhook.endpoint_secret IS
	'signing secrets; every request is signed with all of its endpoint''s that have not expired';
COMMENT ON COLUMN bm_webhook.endpoint_secret.kind IS
	'hmac_sha256, a shared key whsec_... (v1); ed25519, a pair of keys, of which whsk_... is stored (v1a); '
	'client_certificate, PEM of a certificate and its key, which does not sign but is shown to the server';
COMMENT ON COLUMN bm_webhook.endpoint_secret.secret IS 'a new one is made of what is inserted without';
COMMENT ON COLUMN bm_webhook.endpoint_secret.key_id IS
	'the key of bm_webhook.secret_key_file that the secret is encrypted with; NULL: it is plain text';
COMMENT ON COLUMN bm_webhook.endpoint_secret.expires_at IS 'from then on it signs no more, and is removed; NULL: never';

-- Written by the transaction that changes something, and found by what two snapshots differ by: so exactly that is
-- read again. Nobody waits for anybody here: rows are only inserted, and removed when all dispatchers have passed them.
CREATE TABLE bm_webhook_internal.endpoint_change (
	xid xid8 NOT NULL,
	endpoint_id bigint,
	application text
);
CREATE INDEX endpoint_change_xid_idx ON bm_webhook_internal.endpoint_change (xid);
COMMENT ON TABLE bm_webhook_internal.endpoint_change IS
	'which endpoint or application a transaction has changed; neither: any of them';

-- One row, while everything is paused.
CREATE TABLE bm_webhook.paused (
	everything boolean PRIMARY KEY DEFAULT true CHECK (everything),
	paused_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
	paused_by name NOT NULL DEFAULT session_user,
	reason text
);
COMMENT ON TABLE bm_webhook.paused IS 'has a row while pause(everything => true) holds: nothing of this database is '
	'sent';

CREATE TABLE bm_webhook.event_type (
	name text PRIMARY KEY,
	description text NOT NULL,
	schema jsonb,
	example jsonb,
	shipped boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE bm_webhook.event_type IS 'documented event types; events of other types are delivered as well';
COMMENT ON COLUMN bm_webhook.event_type.shipped IS
	'came with the extension; your own types leave it false, and are in logical backups';
COMMENT ON COLUMN bm_webhook.event_type.schema IS 'JSON Schema (draft 2020-12) of the whole body';

