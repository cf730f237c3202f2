import { html, useAnswer, Answer, Table, go, withQuery, query, exportUrl, number, time } from '../lib.js';

const percent = (value) => value == null ? '–' : `${(100 * value).toFixed(1)} %`;

function Exports({ a }) {
	return html`<p><a href=${exportUrl({ ...a, format: 'csv' })} download=${`${a.what}.csv`}>CSV</a> · <a href=${exportUrl({ ...a, format: 'jsonl' })} download=${`${a.what}.jsonl`}>JSON Lines</a></p>`;
}

export function Reports() {
	const q = query();
	const days = Number(q.days ?? 1);
	const hour = Math.ceil(Date.now() / 3600000) * 3600000;
	const a = { since: new Date(hour - days * 86400000).toISOString(), until: new Date(hour).toISOString() };
	const messages = useAnswer('message_rates', { ...a, key: q.key ?? 'campaign' });
	const deliveries = useAnswer('delivery_rates', a);
	const filter = (event) => {
		event.preventDefault();
		go(withQuery(Object.fromEntries(new FormData(event.target))));
	};
	return html`<h1>Reports</h1><form class="filters" onSubmit=${filter}><label>Period<br /><select name="days">${[1, 7, 31].map((n) => html`<option value=${n} selected=${n === days}>${n === 1 ? '1 day' : `${n} days`}</option>`)}</select></label>
			<label>Group by metadata<br /><input name="key" defaultValue=${q.key ?? 'campaign'} /></label><button>Show</button></form>
		<h2>Messages</h2><${Exports} a=${{ what: 'message_rates', key: q.key ?? 'campaign', ...a }} />
		<p class="quiet">By the day of the first status. Figures still change for about three days, as later statuses come.</p>
		<${Answer} of=${messages}>${(rows) => rows.length === 0 ? html`<p>No message in this period.</p>` : html`<${Table} caption="Messages" head=${['Day', 'Application', 'Channel', q.key ?? 'campaign', 'Messages', 'Delivered', 'Read', 'Failed', 'Median to deliver']}>
			${rows.map((row) => html`<tr><td>${row.day}</td><td>${row.application ?? '–'}</td><td>${row.channel ?? '–'}</td><td>${row.campaign ?? '–'}</td><td>${number(row.messages)}</td>
				<td>${percent(row.delivered_rate)}</td><td>${percent(row.read_rate)}</td><td>${number(row.failed)}</td><td>${row.median_time_to_deliver?.slice(0, 12) ?? '–'}</td></tr>`)}</${Table}>`}</${Answer}>
		<h2>Deliveries</h2><${Exports} a=${{ what: 'delivery_rates', ...a }} />
		<${Answer} of=${deliveries}>${(rows) => rows.length === 0 ? html`<p>Nothing was sent in this period.</p>` : html`<${Table} caption="Deliveries" head=${['Hour', 'Endpoint', 'Events', 'Delivered', 'Given up', 'Failed attempts', 'p95 to deliver']}>
			${rows.map((row) => html`<tr><td>${time(row.hour)}</td><td>${row.url ?? row.endpoint_id}</td><td>${number(row.events)}</td><td>${number(row.delivered)}</td><td>${number(row.failed)}</td><td>${number(row.retries)}</td>
				<td>${row.p95_latency?.slice(0, 12) ?? '–'}</td></tr>`)}</${Table}>`}</${Answer}>`;
}
