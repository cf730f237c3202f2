-- Twenty codes, of which the last does not arrive. What the provider reports is
-- an update of the platform's table, each in a transaction of its own.
\set ON_ERROR_STOP on
INSERT INTO bank.one_time_code (id, recipient, content)
	SELECT 'otp-' || n, '+3360000' || lpad(n::text, 4, '0'), 'secret code ' || n FROM generate_series(1, 20) n;

SELECT format('UPDATE bank.one_time_code SET status = %L, provider_message_id = %L WHERE id = %L', 'sent', 'SM' || n, 'otp-' || n)
	FROM generate_series(1, 20) n ORDER BY n \gexec
SELECT format('UPDATE bank.one_time_code SET status = %L WHERE id = %L', 'delivered', 'otp-' || n)
	FROM generate_series(1, 19) n ORDER BY n \gexec

UPDATE bank.one_time_code SET status = 'failed',
	error = '{"code": "unreachable", "title": "Handset is switched off", "permanent": false, "provider_code": "30003"}'
	WHERE id = 'otp-20';
