import { html, useAnswer, Answer, Table, Link, withQuery, query, compact, number, time, endpointPath, eventPath } from '../lib.js';

export function Operations({ endpoint }) {
	const found = useAnswer('operations', compact({ endpoint, before: query().before }), 5000);
	return html`<${Answer} of=${found}>${(answer) => answer.rows.length === 0 ? html`<p>Nobody has asked for anything yet.</p>`
		: html`<${Table} caption="Who asked for what" head=${['When', 'What', 'Who', 'Endpoint', 'Progress']}>
			${answer.rows.map((row) => html`<tr key=${row.id}><td>${time(row.asked_at)}</td><td>${row.kind.replaceAll('_', ' ')}${row.changed ? `: ${row.changed.join(', ')}` : ''}${row.reason ? html`<br /><span class="quiet">${row.reason}</span>` : null}</td><td>${row.asked_by}${row.acting_as === row.asked_by ? '' : ` as ${row.acting_as}`}</td>
				<td>${row.endpoint ? html`<${Link} to=${endpointPath(row.endpoint)}>${row.endpoint}</${Link}>` : row.application ?? 'all'}</td>
				<td>${number(row.done)} of ${number(row.matched)}${row.ended_at ? '' : ', at work'}${row.error ? html`<br />${row.error}` : null}</td></tr>`)}</${Table}>
			${answer.has_more ? html`<p><${Link} to=${withQuery({ before: answer.rows.at(-1).id })}>Next 50</${Link}></p>` : null}`}</${Answer}>`;
}

export function Activity() {
	return html`<h1>Activity</h1><p class="quiet">Who sent again, canceled or paused, looked at a secret, and who registered, changed or deleted what.</p><${Operations} />`;
}
