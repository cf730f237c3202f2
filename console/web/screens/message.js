import { html, useAnswer, Answer, Status, Link, exportUrl, time, ms, eventPath, deliveryPath } from '../lib.js';

export function Message({ id }) {
	const found = useAnswer('message', { message_id: id });
	return html`<h1>Message ${id}</h1><${Answer} of=${found}>${(answer) => html`
		${answer.states.map((state) => html`<p><${Status} is=${state.state} /> · ${state.application ?? '–'} · ${state.channel ?? '–'}${state.error_code ? ` · ${state.error_code}` : ''}</p>`)}
		<p><a href=${exportUrl({ what: 'message', message_id: id, format: 'csv' })} download="message.csv">CSV</a></p>
		<ol class="line">${answer.history.map((row) => html`<li>${time(row.at)} · <strong>${row.what}</strong> · ${row.endpoint_id && row.what !== 'event'
				? html`<${Link} to=${deliveryPath(row.event_id, row.endpoint_id)}>${row.type}</${Link}>` : html`<${Link} to=${eventPath(row.event_id)}>${row.type}</${Link}>`}
			${' '}<${Status} is=${row.outcome} />${row.http_status ? ` · HTTP ${row.http_status}` : ''}${row.error ? ` · ${row.error}` : ''}${row.ms != null ? ` · ${ms(row.ms)}` : ''}
			${row.url ? html`<br /><span class="quiet">${row.url}</span>` : null}</li>`)}</ol>`}</${Answer}>`;
}
