import { html, useState, useAnswer, Answer, Status, Link, Action, Copy, Trouble, soon, get, post, time, ms, endpointPath, eventPath } from '../lib.js';

const advice = {
	http_status: 'The receiver answered, and not with 2xx: its log says why.',
	timeout: 'The receiver took longer than the endpoint\'s timeout. Answer first, and work afterwards.',
	connect: 'Nothing listens there, or a firewall is between.',
	dns: 'The name of the host cannot be resolved.',
	tls: 'The certificate could not be verified.',
};
const phases = [['name', 'name_ms'], ['connect', 'connect_ms'], ['TLS', 'tls_ms'], ['first byte', 'first_byte_ms'], ['rest', 'total_ms']];

// Times count from the start of the attempt; what did not happen has none.
function Waterfall({ attempt }) {
	const total = attempt.total_ms || 1;
	let from = 0;
	const parts = phases.map(([name, key], i) => {
		const until = Math.max(from, attempt[key] ?? from);
		const part = { name, i, from, took: until - from };
		from = until;
		return part;
	}).filter((part) => part.took > 0);
	const words = parts.map((part) => `${part.name} ${ms(part.took)}`).join(', ');
	return html`<svg class="waterfall" viewBox="0 0 100 4" preserveAspectRatio="none" role="img" aria-label=${words || 'no times'}>
		${parts.map((part) => html`<rect class=${`p${part.i}`} x=${100 * part.from / total} y="0" width=${Math.max(0.5, 100 * part.took / total)} height="4" />`)}</svg><div class="quiet">${words}</div>`;
}

// Of an attempt over a connection that was open there are none.
const delivered = (d) => ({ name_ms: d.name_us / 1000, connect_ms: d.connect_us / 1000, tls_ms: d.tls_us / 1000, first_byte_ms: d.first_byte_us / 1000, total_ms: d.ms });

const shell = (text) => `'${String(text).replaceAll("'", `'\\''`)}'`;
const curl = (request) => [`curl -i -X ${request.method} ${shell(request.url)}`, ...Object.entries(request.headers).map(([name, value]) => `  -H ${shell(`${name}: ${value}`)}`), `  --data-binary ${shell(request.body)}`].join(' \\\n');

function Request({ event, endpoint }) {
	const [request, set] = useState(null);
	return html`<h2>Request</h2><p class="quiet">As it would be sent now, with the endpoint's current settings.</p><div class="buttons">
			<${Action} does=${() => get('preview', { event, endpoint })} then=${set}>Show</${Action}>
			<${Copy} text=${async () => curl(await get('preview', { event, endpoint }))}>Copy as curl</${Copy}>
			<${Copy} text=${`SELECT * FROM bm_webhook.preview('${event}', ${endpoint});`}>Copy as SQL</${Copy}></div>
		${request ? html`<pre tabindex="0">${`${request.method} ${request.url}\n${Object.entries(request.headers).map(([name, value]) => `${name}: ${value}`).join('\n')}\n\n${request.body}`}</pre>` : null}`;
}

// What would be canceled, and then the button that does it. A dispatcher cancels, soon after.
function Cancel({ event, endpoint, then }) {
	const [waiting, setWaiting] = useState(null);
	const [isAsked, setAsked] = useState(false);
	const cancel = (dry_run) => post('cancel', { deliveries: [[event, endpoint]], dry_run });
	const end = ({ matched }) => { setWaiting(matched); setAsked(matched > 0); then(); };
	if (isAsked) return html`<span role="status">It is being canceled.</span>`;
	if (waiting === 0) return html`<span role="status">It does not wait any more.</span>`;
	if (waiting === null) return html`<${Action} does=${() => cancel(true)} then=${({ matched }) => setWaiting(matched)}>Cancel…</${Action}>`;
	return html`<div class="trouble"><p>${waiting} delivery waits, and would not be sent.</p><div class="buttons">
		<${Action} kind="danger" does=${() => cancel(false)} then=${end}>Cancel ${waiting} delivery</${Action}><button type="button" onClick=${() => setWaiting(null)}>Keep it</button></div></div>`;
}

function SendAgain({ event, endpoint, then }) {
	const [said, set] = useState('');
	const end = ({ problems }) => { set(problems.length ? `It is not sent again: ${problems[0].problem}.` : ''); then(); };
	return html`<${Action} kind="main" does=${() => post('redeliver', { deliveries: [[event, endpoint]] })} then=${end}>Send again</${Action}><span role="status">${said}</span>`;
}

export function Delivery({ event, endpoint }) {
	const found = useAnswer('delivery', { event, endpoint }, 5000);
	return html`<${Answer} of=${found} title="Delivery">${({ event: e, endpoint: p, delivery: d, failed_attempts, redeliveries, set_aside }) => html`
		<h1>${e.type} to ${p.url ?? `endpoint ${p.id}`}</h1>
		<p><${Status} is=${d?.status ?? 'not sent'} />${d?.http_status ? ` · HTTP ${d.http_status}` : ''}${d?.status === 'delivered' ? ` · ${ms(d.ms)}` : ''}
			${d?.next_attempt_at ? ` · next attempt ${time(d.next_attempt_at)}` : ''}${d?.is_ordered ? ' · waits for an earlier event of its message' : ''}</p>
		${d?.error && d.status !== 'delivered' ? html`<div class="trouble"><strong>${d.error}</strong><p>${advice[d.error_class] ?? ''}</p></div>` : null}
		${set_aside ? html`<div class="notice"><strong>Set aside${set_aside.by ? ` by ${set_aside.by}` : ''}</strong><p>${set_aside.cause}</p></div>` : null}
		${d ? null : html`<div class="notice"><p>There is no delivery of this event to this endpoint (yet). <${Link} to=${eventPath(event)}>Why was it not sent?</${Link}></p></div>`}
		${p.may_change && d ? html`<div class="buttons"><${SendAgain} event=${event} endpoint=${endpoint} then=${() => soon(found.again)} />
			${d.status === 'pending' ? html`<${Cancel} event=${event} endpoint=${endpoint} then=${() => soon(found.again)} />` : null}
			${d.status === 'pending' && !set_aside ? html`<${Action} does=${() => post('set_aside', { event, endpoint })} then=${() => soon(found.again)}>Set aside</${Action}>` : null}
			${set_aside?.by ? html`<${Action} does=${() => post('put_back', { event, endpoint })} then=${() => soon(found.again)}>Put back</${Action}>` : null}</div>` : null}
		<dl class="facts"><dt>Event</dt><dd><${Link} to=${eventPath(event)}>${event}</${Link}>: who got it, and who did not</dd><dt>Captured</dt><dd>${time(e.created_at)}</dd><dt>Occurred</dt><dd>${time(e.occurred_at)}</dd>
			<dt>Application</dt><dd>${e.application ?? '–'}</dd><dt>Channel</dt><dd>${e.channel ?? '–'}</dd><dt>Message</dt><dd>${e.message_id ? html`<${Link} to=${`/messages/${encodeURIComponent(e.message_id)}`}>${e.message_id}</${Link}>` : '–'}</dd>
			<dt>Endpoint</dt><dd><${Link} to=${endpointPath(p.id)}>${p.url ?? 'deleted'}</${Link}></dd><dt>Attempts</dt><dd>${d?.attempts ?? 0}</dd></dl>
		<h2>Attempts</h2>${failed_attempts.length === 0 && d?.status !== 'delivered' ? html`<p>None yet.</p>` : null}
		<ol class="line">${failed_attempts.map((attempt) => html`<li key=${attempt.at}><strong>${attempt.attempt}</strong> · ${time(attempt.at)} · <${Status} is="failed" /> · ${attempt.http_status ? `HTTP ${attempt.http_status}` : attempt.error_class} · ${attempt.error}
				<${Waterfall} attempt=${attempt} />${attempt.response ? html`<details><summary>Response</summary><pre tabindex="0">${attempt.response}</pre></details>` : null}</li>`)}
			${redeliveries.map((r) => html`<li key=${r.at}>${time(r.at)} · sent again by ${r.by}; it was <${Status} is=${r.was} /> after ${r.attempts} attempts</li>`)}
			${d?.status === 'delivered' ? html`<li><strong>${d.attempts}</strong> · ${time(d.last_attempt_at)} · <${Status} is="delivered" /> · HTTP ${d.http_status} · ${ms(d.ms)}
				${d.connect_us ? html`<${Waterfall} attempt=${delivered(d)} />` : null}</li>` : null}</ol>
		<h2>Content</h2>${e.data === undefined ? html`<p>Contents are hidden: your login may not read them.</p>` : html`<pre tabindex="0">${pretty(e.data)}</pre>`}
		${p.may_change ? html`<${Request} event=${event} endpoint=${endpoint} />` : null}`}</${Answer}>`;
}

export function pretty(text) {
	try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}
