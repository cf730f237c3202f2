-- Three customers write; one of them twice.
\set ON_ERROR_STOP on
SELECT bm_webhook.message_received('{"type": "text", "text": "Hello!"}', 'bot', 'whatsapp', 'in-1', '+33698765431', '+33123456789',
	sender_name => 'Ana', conversation_id => 'c-1');
SELECT bm_webhook.message_received('{"type": "text", "text": "Where is 4412?"}', 'bot', 'sms', 'in-2', '+33698765432', '+33123456789',
	conversation_id => 'c-2');
SELECT bm_webhook.message_received('{"type": "text", "text": "Où est le colis n° 9999 ?"}', 'bot', 'rcs', 'in-3', '+33698765433', 'agent-7',
	conversation_id => 'c-3');
SELECT bm_webhook.message_received('{"type": "text", "text": "It is 4411, \"express\"; DROP TABLE x"}', 'bot', 'whatsapp', 'in-4', '+33698765431', '+33123456789',
	sender_name => 'Ana', conversation_id => 'c-1');
