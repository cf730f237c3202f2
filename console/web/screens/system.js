import { html, useAnswer, Answer, Table, Status, number, time, ago } from '../lib.js';

const size = (bytes) => bytes > 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : bytes > 1e6 ? `${(bytes / 1e6).toFixed(1)} MB` : `${Math.round(bytes / 1e3)} kB`;

const kept = (settings) => {
	const retention = settings.find((row) => row.name === 'bm_webhook.retention').value;
	return retention === '0' ? 'it is kept until you drop it, as bm_webhook.retention is 0' : `bm_webhook.retention keeps it for ${retention}`;
};

export function System() {
	const found = useAnswer('system', {}, 30000);
	return html`<h1>System</h1><${Answer} of=${found}>${(s) => html`
		${s.paused ? html`<div class="trouble"><strong>Everything is paused</strong><p>by ${s.paused.paused_by}, for ${ago(s.paused.paused_at)}. ${s.paused.reason ?? ''}</p></div>` : null}
		<h2>Dispatchers</h2>${s.dispatchers ? html`<${Table} caption="Dispatchers" head=${['Database', 'Shard', 'State', 'In flight', 'Sent', 'Last error', 'Capture failures']}>
			${s.dispatchers.map((d) => html`<tr><td>${d.database}</td><td>${d.shard}</td><td><${Status} is=${d.state} /> ${d.reason ?? ''}</td><td>${d.in_flight}</td><td>${number(d.sent)}</td><td>${d.last_error ?? '–'}</td><td>${d.capture_failures}</td></tr>`)}</${Table}>`
			: html`<p>None: is bm_webhook in shared_preload_libraries?</p>`}
		<h2>Set aside</h2>${s.set_aside.length === 0 ? html`<p>Nothing.</p>` : html`<${Table} caption="Set aside" head=${['Since', 'Event', 'Endpoint', 'Cause']}>
			${s.set_aside.map((row) => html`<tr><td>${time(row.since)}</td><td>${row.event_id}</td><td>${row.endpoint_id}</td><td>${row.cause}</td></tr>`)}</${Table}>`}
		<h2>Watches</h2>${s.watches.length === 0 ? html`<p>No table is watched. SELECT bm_webhook.watch('public.orders', 'order.{status}') watches one.</p>` : html`<${Table} caption="Watches" head=${Object.keys(s.watches[0])}>
			${s.watches.map((row) => html`<tr>${Object.values(row).map((value) => html`<td>${value == null ? '–' : typeof value === 'object' ? JSON.stringify(value) : String(value)}</td>`)}</tr>`)}</${Table}>`}
		<h2>Log</h2><p>${s.oldest_event ? `It goes back ${ago(s.oldest_event)}, to ${time(s.oldest_event)}` : 'It has no event'}; ${kept(s.settings)}.</p>
		<${Table} caption="Partitions" head=${['Partition', 'Rows (estimate)', 'Size']}>${s.partitions.map((p) => html`<tr><td>${p.name}</td><td>${number(p.rows)}</td><td>${size(p.bytes)}</td></tr>`)}</${Table}>
		<h2>Settings</h2><${Table} caption="Settings" head=${['Setting', 'Value', 'Default', 'Meaning']}>${s.settings.map((row) => html`<tr><td>${row.name}</td><td>${row.value}</td><td>${row.default}</td><td>${row.description}</td></tr>`)}</${Table}>`}</${Answer}>`;
}
