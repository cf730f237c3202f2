import { html, useAnswer, Answer } from '../lib.js';

export function EventTypes() {
	const types = useAnswer('event_types', {});
	return html`<h1>Event types</h1><${Answer} of=${types}>${(rows) => rows.length === 0 ? html`<p>None is documented. INSERT INTO bm_webhook.event_type documents one.</p>`
		: rows.map((type) => html`<details key=${type.name}><summary><strong>${type.name}</strong> <span class="quiet">${type.description}</span></summary>
			${type.example ? html`<h2>Example</h2><pre tabindex="0">${JSON.stringify(type.example, null, 2)}</pre>` : null}${type.schema ? html`<h2>Schema</h2><pre tabindex="0">${JSON.stringify(type.schema, null, 2)}</pre>` : null}</details>`)}</${Answer}>`;
}
