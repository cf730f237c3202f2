import { html, mayChange, useState, useEffect, useAnswer, useTail, Answer, Table, Status, Link, go, withQuery, query, paging, pick, exportUrl, soon, time, ms, deliveryPath, endpointPath } from '../lib.js';
import { Box, SelectionBar, useSelection } from './selection.js';

// Rows are only added at the top, while nobody reads further down; otherwise they are counted. Which page it is, the
// address says.
export function DeliveryList({ filter, empty, isFiltered }) {
	const page = pick(query(), paging);
	const a = { ...filter, ...page };
	const list = useAnswer('deliveries', a);
	const of = JSON.stringify(a);
	const selection = useSelection(of);
	const maySelect = mayChange();
	const mine = (list.answer?.rows ?? []).filter((row) => row.may_change);
	const [newer, setNewer] = useState(0);
	const [isLive, setLive] = useState(true);
	useTail(isLive && !a.until && !a.before, (tail) => setNewer((was) => was + tail.count), list.again);
	useEffect(() => {
		if (!newer || scrollY > 0 || document.querySelector('.scroll:hover, .scroll:focus-within')) return undefined;
		const timer = setTimeout(() => { setNewer(0); list.again(); }, 1500);
		return () => clearTimeout(timer);
	}, [newer]);
	return html`<div class="buttons"><button type="button" aria-pressed=${!isLive} onClick=${() => setLive(!isLive)}>${isLive ? 'Pause list' : 'Go on'}</button>
		<button type="button" onClick=${() => { setNewer(0); list.again(); }}>${newer ? `${newer} newer` : 'Refresh'}</button></div>
		${maySelect ? html`<${SelectionBar} key=${of} selection=${selection} filter=${a} rows=${mine} hasMore=${list.answer?.has_more || a.before} then=${() => soon(list.again)} />` : null}
		<${Answer} of=${list}>${(answer) => html`${answer.rows.length === 0 ? html`<div class="notice">${(answer.looked_back_to || Object.keys(page).length ? null : empty) ?? html`<p>None since ${time(answer.looked_back_to ?? answer.since)}${isFiltered ? ' that matches' : ''}.</p>`}</div>`
			: html`<${Table} caption="Deliveries" head=${[...(maySelect ? [html`<${Box} selection=${selection} rows=${mine} label="Select all on this page" />`] : []), 'Captured', 'Status', 'Type', 'Message', 'Endpoint', 'Attempts', 'HTTP', 'Took']}>
				${answer.rows.map((row) => html`<tr key=${row.event + row.endpoint}>${maySelect ? html`<td>${row.may_change ? html`<${Box} selection=${selection} rows=${[row]} label=${`Select ${row.type ?? row.event} of ${time(row.at)} to ${row.url}`} />` : null}</td>` : null}<td><${Link} to=${deliveryPath(row.event, row.endpoint)}>${time(row.at)}</${Link}></td>
					<td><${Status} is=${row.status} />${row.status === 'pending' && row.next_attempt_at ? html`<br /><span class="quiet">due ${time(row.next_attempt_at)}</span>` : null}</td><td>${row.type ?? '–'}</td>
					<td>${row.message_id ? html`<${Link} to=${`/messages/${encodeURIComponent(row.message_id)}`}>${row.message_id}</${Link}>` : '–'}</td>
					<td><${Link} to=${endpointPath(row.endpoint)}>${row.url ?? `deleted (${row.endpoint})`}</${Link}></td><td>${row.attempts}</td><td>${row.http_status ?? row.error_class ?? '–'}</td><td>${ms(row.ms)}</td></tr>`)}</${Table}>`}
			<p>${answer.next ? html`<${Link} to=${withQuery({ before: answer.next.before, before_endpoint: String(answer.next.before_endpoint) })}>${answer.looked_back_to ? 'Look further back' : 'Next 50'}</${Link}>
					${answer.looked_back_to && answer.rows.length > 0 ? html` <span class="quiet">These are all since ${time(answer.looked_back_to)}.</span>` : null}`
				: html`<${Link} to=${withQuery({ until: answer.since, since: new Date(new Date(answer.since) - 86400000).toISOString(), before: '', before_endpoint: '' })}>Older: the day before</${Link}>`}</p>`}</${Answer}>`;
}

const filters = ['endpoint', 'status', 'type', 'application', 'error_class'];

export function Deliveries() {
	const q = query();
	const filter = (event) => {
		event.preventDefault();
		const form = Object.fromEntries(new FormData(event.target));
		go(withQuery({ ...form, before: '', before_endpoint: '', since: '', until: '' }));
	};
	const isFiltered = Object.keys(pick(q, filters)).length > 0;
	const period = { what: 'deliveries', ...pick(q, [...filters, 'since', 'until']) };
	return html`<h1>Deliveries</h1><form class="filters" onSubmit=${filter}>
			<label>Status<br /><select name="status">${['', 'delivered', 'failed', 'pending', 'canceled'].map((s) => html`<option value=${s} selected=${s === (q.status ?? '')}>${s || 'any'}</option>`)}</select></label>
			<label>Type<br /><input name="type" placeholder="order.*" defaultValue=${q.type ?? ''} /></label>
			<label>Application<br /><input name="application" defaultValue=${q.application ?? ''} /></label>
			<label>Endpoint<br /><input name="endpoint" inputmode="numeric" pattern="[0-9]*" defaultValue=${q.endpoint ?? ''} /></label>
			<label>Class of error<br /><input name="error_class" defaultValue=${q.error_class ?? ''} /></label><button>Filter</button></form>
		<p class="quiet">${q.since || q.until ? `From ${time(q.since)} to ${q.until ? time(q.until) : 'now'}.` : 'The last 24 hours.'}
			${' '}<a href=${exportUrl({ ...period, format: 'csv' })} download="deliveries.csv">CSV</a> · <a href=${exportUrl({ ...period, format: 'jsonl' })} download="deliveries.jsonl">JSON Lines</a></p>
		<${DeliveryList} filter=${pick(q, filters)} isFiltered=${isFiltered} empty=${isFiltered ? null : html`<p>Nothing was sent in 24 hours.</p>
			<p>What is sent from now on appears here by itself. Which events are sent, and whereto, <${Link} to="/endpoints">endpoints</${Link}> say.</p>`} />`;
}
