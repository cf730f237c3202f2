import { html, mayChange, useAnswer, useTail, useState, Answer, Table, Status, Link, Action, post, ago, ms, number, counted, endpointPath } from '../lib.js';
import { Hour } from '../chart.js';

function Figure({ name, children }) {
	return html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
}

function Attention({ rows, unhealthy, again }) {
	if (rows.length === 0) return html`<p>Nothing. Every endpoint answers.</p>`;
	return html`${unhealthy > rows.length ? html`<p>The worst ${rows.length} of ${number(unhealthy)}.</p>` : null}
		<${Table} caption="Endpoints that need attention" head=${['State', 'Endpoint', 'Since', 'Waiting', 'Given up, 1 h', '']}>
		${rows.map((row) => html`<tr key=${row.endpoint}><td><${Status} is=${row.state} /><br /><span class="quiet">${row.reason}. ${row.advice}</span></td>
			<td><${Link} to=${endpointPath(row.endpoint)}>${row.url}</${Link}><br /><span class="quiet">${row.application ?? 'all applications'}</span></td>
			<td>${ago(row.since)}</td><td>${number(row.waiting)}</td><td>${number(row.given_up)}</td>
			<td>${row.may_change && row.state === 'disabled' ? html`<${Action} does=${() => post('save_endpoint', { id: row.endpoint, enabled: true })} then=${again}>Enable</${Action}>` : null}
				${row.may_change && row.state === 'paused' && row.is_paused ? html`<${Action} does=${() => post('resume', { endpoint: row.endpoint })} then=${again}>Resume</${Action}>` : null}
				${row.state === 'failing' || row.given_up > 0 ? html`<${Link} to=${endpointPath(row.endpoint, 'failures')}>Why</${Link}>` : null}</td></tr>`)}</${Table}>`;
}

function Dispatchers({ rows }) {
	if (!rows) return null;
	if (rows.length === 0) return html`<h2>Dispatchers</h2><div class="trouble"><strong>No dispatcher serves this database.</strong>
		<p>Add bm_webhook to shared_preload_libraries, and restart the server.</p></div>`;
	return html`<h2>Dispatchers</h2><${Table} caption="Dispatchers" head=${['Shard', 'State', 'In flight', 'Queued', 'Sent', 'Last error']}>
		${rows.map((row) => html`<tr key=${row.shard}><td>${row.shard}</td><td><${Status} is=${row.state} /> ${row.reason ?? ''}</td><td>${row.in_flight}</td><td>${row.queued}</td>
			<td>${number(row.sent)}</td><td>${row.last_error ?? '–'}</td></tr>`)}</${Table}>`;
}

function Beginning({ events }) {
	return html`<div class="notice"><p><strong>No endpoint yet.</strong></p><p>An endpoint is a URL that events are sent to.
			${mayChange() ? html` <${Link} to="/endpoints/new">Register one</${Link}>.` : ' Owners of applications register them.'}</p>
		<p>${events.count ? `${counted(events.count, events.isPartial)} ${events.count === 1 ? 'event was' : 'events were'} committed since you look. An endpoint gets what is committed after it was registered.`
			: html`Events come from tables that are watched: <code>SELECT bm_webhook.watch('public.orders', 'order.{status}')</code>`}</p></div>`;
}

export function Overview() {
	const overview = useAnswer('overview', {}, 10000);
	// These change once a minute.
	const hour = useAnswer('hour', {}, 60000);
	const { delivered, given_up, is_partial, p95_ms } = hour.answer ?? {};
	const [events, setEvents] = useState({ count: 0 });
	useTail(true, (tail) => setEvents((was) => ({ count: was.count + tail.count, isPartial: was.isPartial || tail.is_partial })));
	return html`<h1>Overview</h1><${Answer} of=${overview}>${(answer) => answer.endpoints === 0
		? html`<${Beginning} events=${events} /><${Dispatchers} rows=${answer.dispatchers} />`
		: html`<dl class="figures">
				<${Figure} name="Delivered, 1 h">${counted(delivered, is_partial)}</${Figure}>
				<${Figure} name="Given up, 1 h">${counted(given_up, is_partial)}</${Figure}>
				<${Figure} name="Waiting">${number(answer.waiting)}</${Figure}><${Figure} name="Oldest waits">${ago(answer.oldest)}</${Figure}>
				<${Figure} name="p95 of requests">${ms(p95_ms)}</${Figure}><${Figure} name="Events since you look">${counted(events.count, events.isPartial)}</${Figure}></dl>
			<${Answer} of=${hour}>${(answer) => html`<${Hour} hour=${answer} />`}</${Answer}>
			<h2>Needs attention</h2><${Attention} rows=${answer.attention} unhealthy=${answer.unhealthy} again=${overview.again} /><${Dispatchers} rows=${answer.dispatchers} />`}</${Answer}>`;
}
