import { html, get, mayChange, useAnswer, useTail, useState, useRef, Answer, Table, Status, Link, Action, post, ago, ms, number, counted, endpointPath } from '../lib.js';
import { Hour } from '../chart.js';

function Figure({ name, children }) {
	return html`<div><dt>${name}</dt><dd>${children}</dd></div>`;
}

function Attention({ rows, unhealthy, again }) {
	if (rows.length === 0) return html`<p>Nothing, as of a minute ago.</p>`;
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
		<p>${events.count ? `${counted(events.count, events.isPartial)} ${events.count === 1 ? 'event was' : 'events were'} committed since you opened this page. An endpoint gets what is committed after it was registered.`
			: html`Events come from tables that are watched: <code>SELECT bm_webhook.watch('public.orders', 'order.{status}')</code>`}</p></div>`;
}

// Of an owner of many endpoints an answer has the newest minutes: those before are asked for, unless they are known since the last
// time. What is counted in a minute is written in the next, or the one after it.
async function readHour(known, name, a, signal) {
	const newest = await get(name, a, signal);
	const minutes = new Map();
	let answer = newest;
	for (;;) {
		for (const minute of answer.minutes) minutes.set(minute[0], minute);
		if (!answer.next || Date.parse(answer.next) / 1000 <= known.until) break;
		answer = await get(name, { ...a, until: answer.next }, signal);
		newest.is_partial ||= answer.is_partial;
	}
	const first = Math.floor(Date.now() / 60000) * 60 - 3600;
	for (const minute of known.minutes) if (answer.next && minute[0] >= first && !minutes.has(minute[0])) minutes.set(minute[0], minute);
	known.minutes = [...minutes.values()].sort((one, other) => one[0] - other[0]);
	known.until = (known.minutes.at(-1)?.[0] ?? 0) - 120;
	const sum = (i) => known.minutes.reduce((total, minute) => total + minute[i], 0);
	return { ...newest, minutes: known.minutes, delivered: sum(1), failed_attempts: sum(2), given_up: sum(3) };
}

export function Overview() {
	const overview = useAnswer('overview', {}, 10000);
	// These change once a minute.
	const known = useRef({ minutes: [], until: 0 });
	const hour = useAnswer('hour', {}, 60000, (...asked) => readHour(known.current, ...asked));
	const { delivered, given_up, is_partial, p95_ms } = hour.answer ?? {};
	const [events, setEvents] = useState({ count: 0 });
	useTail(true, (tail) => setEvents((was) => ({ count: was.count + tail.count, isPartial: was.isPartial || tail.is_partial })));
	return html`<h1>Overview</h1><${Answer} of=${overview}>${(answer) => answer.endpoints === 0
		? html`<${Beginning} events=${events} /><${Dispatchers} rows=${answer.dispatchers} />`
		: html`<dl class="figures">
				<${Figure} name="Delivered, 1 h">${counted(delivered, is_partial)}</${Figure}>
				<${Figure} name="Given up, 1 h">${counted(given_up, is_partial)}</${Figure}>
				<${Figure} name="Waiting">${number(answer.waiting)}</${Figure}><${Figure} name="Oldest waiting">${ago(answer.oldest)}</${Figure}>
				<${Figure} name="Response time, p95">${ms(p95_ms)}</${Figure}><${Figure} name="New events">${counted(events.count, events.isPartial)}</${Figure}></dl>
			<${Answer} of=${hour}>${(answer) => html`<${Hour} hour=${answer} />`}</${Answer}>
			<h2>Needs attention</h2><${Attention} rows=${answer.attention} unhealthy=${answer.unhealthy} again=${overview.again} /><${Dispatchers} rows=${answer.dispatchers} />`}</${Answer}>`;
}
