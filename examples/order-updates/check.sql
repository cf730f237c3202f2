\set ON_ERROR_STOP on
SELECT id, notice, channel FROM shop.orders ORDER BY id;
