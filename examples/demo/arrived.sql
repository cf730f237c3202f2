-- The receivers' own logs, one line of JSON for each request, as a table: what really arrived.
CREATE TABLE arrived_line (line jsonb);
\copy arrived_line FROM 'requests.jsonl' WITH (FORMAT csv, DELIMITER e'\x01', QUOTE e'\x02')
CREATE VIEW arrived AS
SELECT line ->> 'name' AS endpoint, (line ->> 'id')::uuid AS event_id, (line ->> 'status')::integer AS status,
	(line ->> 'verified')::boolean AS verified, line ->> 'body' AS body,
	(line ->> 'body')::jsonb ->> 'type' AS type
FROM arrived_line;
