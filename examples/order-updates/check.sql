\set ON_ERROR_STOP on
-- First let what was sent arrive.
SELECT count(bm_webhook.wait_for_delivery(id, '10 s')) AS waited FROM bm_webhook.event WHERE application = 'shop' \gset
SELECT id, notice, channel FROM shop.orders ORDER BY id;
