import { html, mayChange, useAnswer, Answer, Table, Status, Link, go, withQuery, query, compact, ago, number, endpointPath } from '../lib.js';

// Of endpoint_health.
const states = ['healthy', 'failing', 'disabled', 'unverified', 'full', 'behind', 'paused', 'held', 'slowed'];

export function Endpoints() {
	const q = query();
	const list = useAnswer('endpoints', compact({ q: q.q, state: q.state, after: q.after }));
	const filter = (event) => {
		event.preventDefault();
		const form = new FormData(event.target);
		go(withQuery({ q: form.get('q'), state: form.get('state'), after: '' }));
	};
	return html`<h1>Endpoints</h1>
		<form class="filters" onSubmit=${filter}>
			<label>URL, description or application<br /><input name="q" defaultValue=${q.q ?? ''} /></label>
			<label>State<br /><select name="state">${['', ...states].map((state) => html`<option value=${state} selected=${state === (q.state ?? '')}>${state || 'any'}</option>`)}</select></label>
			<button>Filter</button>
			${mayChange() ? html`<${Link} to="/endpoints/new">New endpoint</${Link}>` : null}
		</form>
		<${Answer} of=${list}>${(answer) => answer.rows.length === 0
			? html`<div class="notice"><p>${q.q || q.state ? 'No endpoint is like that.' : 'No endpoint yet.'}${mayChange() ? html` <${Link} to="/endpoints/new">Register one</${Link}>.` : null}</p></div>`
			: html`<${Table} caption="Endpoints" head=${['State', 'URL', 'Application', 'Event types', 'Waiting', 'Given up, 24 h']}>
				${answer.rows.map((row) => html`<tr key=${row.id}><td><${Status} is=${row.state} />${row.reason ? html`<br /><span class="quiet">${row.reason}${row.since ? `, for ${ago(row.since)}` : ''}</span>` : null}</td>
					<td><${Link} to=${endpointPath(row.id)}>${row.url}</${Link}>${row.description ? html`<br /><span class="quiet">${row.description}</span>` : null}</td>
					<td>${row.application ?? 'all'}</td><td>${row.event_types.join(', ')}</td><td>${number(row.waiting)}</td><td>${row.failed_24h >= 1000 ? '1,000 or more' : row.failed_24h}</td></tr>`)}</${Table}>
				${answer.has_more ? html`<p><${Link} to=${withQuery({ after: answer.rows.at(-1).id })}>Next 50</${Link}></p>` : null}`}</${Answer}>`;
}
