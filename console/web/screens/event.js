import { html, useAnswer, Answer, Table, Status, Link, time, deliveryPath, endpointPath } from '../lib.js';
import { pretty } from './delivery.js';

// Which column of the endpoint decides: of one that has a filter and gets the event, that too.
const decides = { 'other application': 'application', 'other channel': 'channel', 'other event type': 'event_types' };
const decisive = (row) => decides[row.reason] ?? (row.filter && (row.gets_it || row.reason?.startsWith('filter')) ? 'filter' : null);
const Decisive = ({ row, column }) => column ? html`<br /><span class="quiet">${column}: ${String(row[column] ?? 'all')}</span>` : null;

// What is searched for looks like the id of an event, and may be that of a message.
export function Event({ event }) {
	const found = useAnswer('event', { event });
	if (found.error?.sqlstate === '42704') return html`<${Answer} of=${found} title="Event" />
		<p>Or is it the id of a message? <${Link} to=${`/messages/${event}`}>Search messages</${Link}></p>`;
	return html`<${Answer} of=${found} title="Event">${(e) => html`<h1>${e.type}</h1>
		<dl class="facts"><dt>Event</dt><dd>${e.id}</dd><dt>Captured</dt><dd>${time(e.created_at)}</dd><dt>Occurred</dt><dd>${time(e.occurred_at)}</dd><dt>Application</dt><dd>${e.application ?? '–'}</dd>
			<dt>Channel</dt><dd>${e.channel ?? '–'}</dd><dt>Message</dt><dd>${e.message_id ? html`<${Link} to=${`/messages/${encodeURIComponent(e.message_id)}`}>${e.message_id}</${Link}>` : '–'}</dd></dl>
		<h2>Who gets it, and why was it not sent?</h2>
		${e.endpoints.length === 0 ? html`<p>There is no endpoint.</p>` : html`<${Table} caption="Who gets this event" head=${['Endpoint', 'Gets it', 'Why not', 'Delivery']}>
			${e.endpoints.map((row) => html`<tr key=${row.endpoint}><td><${Link} to=${endpointPath(row.endpoint)}>${row.url ?? row.endpoint}</${Link}><br /><span class="quiet">${row.application ?? 'all applications'}</span></td>
				<td>${row.gets_it ? 'yes' : 'no'}</td><td>${row.reason ?? '–'}<${Decisive} row=${row} column=${decisive(row)} /></td>
				<td>${row.status ? html`<${Link} to=${deliveryPath(event, row.endpoint)}><${Status} is=${row.status} /></${Link}>` : 'none'}</td></tr>`)}</${Table}>`}
		<h2>Content</h2>${e.data === undefined ? html`<p>Contents are hidden: your login may not read them.</p>` : html`<pre tabindex="0">${pretty(e.data)}</pre>`}`}</${Answer}>`;
}
