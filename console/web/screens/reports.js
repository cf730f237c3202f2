import { html, useAnswer, Answer, Table, go, withQuery, query, exportUrl, number, time } from '../lib.js';

const percent = (value) => value == null ? '–' : `${(100 * value).toFixed(1)} %`;

function Exports({ a }) {
	return html`<p><a href=${exportUrl({ ...a, format: 'csv' })} download=${`${a.what}.csv`}>CSV</a> · <a href=${exportUrl({ ...a, format: 'jsonl' })} download=${`${a.what}.jsonl`}>JSON Lines</a></p>`;
}

// Figures are those of the last count, which is of whole days.
function AsOf({ answer, days }) {
	return html`<p class="quiet">${!answer.is_counting ? 'Nothing is counted here, as bm_webhook.count_days is off; an export counts.'
		: answer.days === 0 ? 'Not counted yet: that begins about a minute after a dispatcher has been started.'
			: `Counted at ${time(answer.as_of)}${answer.days < days ? `, ${answer.days} of ${days} days so far` : ''}.`}</p>`;
}

const midnight = (daysAgo) => new Date(Math.floor(Date.now() / 86400000 - daysAgo) * 86400000).toISOString();
const periods = { 1: 'today', 2: 'since yesterday', 7: '7 days', 31: '31 days' };

export function Reports() {
	const q = query();
	const days = periods[q.days] ? Number(q.days) : 2;
	const key = q.key || 'campaign';
	const a = { since: midnight(days - 1), until: new Date(Math.ceil(Date.now() / 3600000) * 3600000 - 1).toISOString() };
	const messages = useAnswer('message_rates', { ...a, key });
	const deliveries = useAnswer('delivery_rates', a);
	const filter = (event) => {
		event.preventDefault();
		go(withQuery(Object.fromEntries(new FormData(event.target))));
	};
	return html`<h1>Reports</h1><form class="filters" onSubmit=${filter}><label>Period<br /><select name="days">${Object.entries(periods).map(([n, name]) => html`<option value=${n} selected=${Number(n) === days}>${name}</option>`)}</select></label>
			<label>Group by metadata<br /><input name="key" defaultValue=${key} /></label><button>Show</button></form>
		<p class="quiet">Days are those of UTC.</p>
		<h2>Messages</h2><${Exports} a=${{ what: 'message_rates', key, ...a }} />
		<p class="quiet">By the day of the first status. Figures still change for about three days, as later statuses come.</p>
		<${Answer} of=${messages}>${(answer) => answer.rows === null ? html`<p>Only campaigns are counted in advance. Export the messages by “${key}”.</p>`
			: html`<${AsOf} answer=${answer} days=${days} />${answer.rows.length === 0 ? html`<p>No message was counted in this period.</p>` : html`<${Table} caption="Messages" head=${['Day', 'Application', 'Channel', 'Campaign', 'Messages', 'Delivered', 'Read', 'Failed', 'Median to deliver']}>
			${answer.rows.map((row) => html`<tr><td>${row.day}</td><td>${row.application ?? '–'}</td><td>${row.channel ?? '–'}</td><td>${row.campaign ?? '–'}</td><td>${number(row.messages)}</td>
				<td>${percent(row.delivered_rate)}</td><td>${percent(row.read_rate)}</td><td>${number(row.failed)}</td><td>${row.median_time_to_deliver?.slice(0, 12) ?? '–'}</td></tr>`)}</${Table}>`}`}</${Answer}>
		<h2>Deliveries</h2><${Exports} a=${{ what: 'delivery_rates', ...a }} />
		<${Answer} of=${deliveries}>${(answer) => html`<${AsOf} answer=${answer} days=${days} />${answer.rows.length === 0 ? html`<p>No delivery was counted in this period.</p>` : html`<${Table} caption="Deliveries" head=${['Day', 'Endpoint', 'Events', 'Delivered', 'Given up', 'Waiting', 'Failed attempts', 'p95 to deliver, worst hour']}>
			${answer.rows.map((row) => html`<tr><td>${row.day}</td><td>${row.url ?? row.endpoint_id}</td><td>${number(row.events)}</td><td>${number(row.delivered)}</td><td>${number(row.failed)}</td><td>${number(row.pending)}</td><td>${number(row.retries)}</td>
				<td>${row.worst_p95_latency?.slice(0, 12) ?? '–'}</td></tr>`)}</${Table}>`}`}</${Answer}>`;
}
