-- The rates of the view beside what is counted by hand: of 50 messages on each
-- channel. (A day is that when the first status of a message was captured.)
\set ON_ERROR_STOP on
SELECT r.campaign, r.channel, r.messages, r.sent, r.delivered, r.read, r.failed, r.delivered_rate, r.read_rate,
		r.median_time_to_deliver, r.median_time_to_read,
		c.sent AS counted, c.delivered AS counted_delivered, c.read AS counted_read,
		round(c.delivered / c.sent::numeric, 4) AS counted_delivered_rate,
		round(c.read / c.delivered::numeric, 4) AS counted_read_rate
	FROM bm_webhook.message_rate r
	FULL JOIN (
		SELECT campaign, channel, count(*) AS sent, count(*) FILTER (WHERE is_delivered) AS delivered,
				count(*) FILTER (WHERE is_read) AS read
			FROM campaign.recipient GROUP BY campaign, channel
	) c USING (campaign, channel)
	WHERE r.application = 'marketing'
	ORDER BY r.campaign, r.channel, r.day;
