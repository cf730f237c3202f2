import { html, useState, useEffect, useAnswer, Answer, sentence, Table, Status, Link, Action, Copy, Trouble, get, post, go, time, ago, ms, number, endpointPath, deliveryPath } from '../lib.js';
import { Hour } from '../chart.js';
import { DeliveryList } from './deliveries.js';
import { EndpointForm } from './endpoint-form.js';
import { snippets } from './snippets.js';
import { Operations } from './activity.js';

// The outcome of a ping, as it comes.
function Ping({ id }) {
	const [event, setEvent] = useState(null);
	const [delivery, set] = useState(null);
	useEffect(() => {
		if (!event) return undefined;
		let timer = 0;
		const look = async () => {
			const answer = await get('delivery', { event, endpoint: id }).catch(() => null);
			if (answer) set(answer);
			if (!answer?.delivery || answer.delivery.status === 'pending') timer = setTimeout(look, 500);
		};
		set(null);
		look();
		return () => clearTimeout(timer);
	}, [event]);
	const d = delivery?.delivery;
	return html`<${Action} does=${() => post('ping', { endpoint: id })} then=${(answer) => setEvent(answer.event)}>Ping</${Action}>
		<span role="status">${event ? html`<${Link} to=${deliveryPath(event, id)}>Ping</${Link}>: <${Status} is=${d?.status ?? 'waiting'} /> ${d?.http_status ? `HTTP ${d.http_status}` : ''} ${d?.error ?? ''} ${d?.ms != null ? ms(d.ms) : ''}` : null}</span>`;
}

// How many first, and then the button that does it: for the period that was counted, up to then.
function Counted({ id, name, label, verb, what, done }) {
	const [hours, setHours] = useState(24);
	const [found, setFound] = useState({});
	const count = async () => {
		const a = { endpoint: id, since: new Date(Date.now() - hours * 3600000).toISOString() };
		const { matched, until } = await post(name, { ...a, dry_run: true });
		return { matched, a: { ...a, until } };
	};
	const say = ({ matched }) => {
		setFound({});
		done(matched ? `${what.replace('N', number(matched))}.` : 'There are none any more.');
	};
	return html`<div class="filters"><label>${label} in the last<br /><select onChange=${(event) => { setHours(Number(event.target.value)); setFound({}); }}>
			${[[1, 'hour'], [24, '24 hours'], [168, '7 days'], [744, '31 days']].map(([n, name]) => html`<option value=${n} selected=${n === hours}>${name}</option>`)}</select></label>
		<${Action} does=${count} then=${setFound}>Count</${Action}>
		${found.matched > 0 ? html`<${Action} kind="main" does=${() => post(name, found.a)} then=${say}>${verb} ${number(found.matched)}</${Action}>` : null}
		<span role="status">${found.matched === 0 ? 'There are none.' : ''}</span></div>`;
}

function Failures({ endpoint }) {
	const causes = useAnswer('causes', { endpoint: endpoint.id });
	const [done, setDone] = useState('');
	return html`${endpoint.may_change ? html`<h2>Send again</h2><${Counted} id=${endpoint.id} name="redeliver_since" label="What failed" verb="Send again" what="Sent again in the background: N that had failed" done=${setDone} />
			<${Counted} id=${endpoint.id} name="recover" label="What it never got" verb="Send" what="Sent in the background: N that it never got" done=${setDone} /><p role="status">${done}</p>` : null}
		<h2>Causes, last 24 hours</h2><${Answer} of=${causes}>${(rows) => rows.length === 0 ? html`<p>Nothing failed.</p>`
			: html`<${Table} caption="Failures by cause" head=${['Status', 'Cause', 'HTTP', 'Deliveries', 'Last', 'Example']}>
				${rows.map((row) => html`<tr><td><${Status} is=${row.status} /></td><td>${row.error_class}<br /><span class="quiet">${row.error}</span></td><td>${row.http_status ?? '–'}</td>
					<td>${number(row.deliveries)}</td><td>${time(row.last)}</td><td><${Link} to=${deliveryPath(row.event, endpoint.id)}>open</${Link}></td></tr>`)}</${Table}>`}</${Answer}>`;
}

function Secrets({ endpoint, again }) {
	const [secret, setSecret] = useState(null);
	useEffect(() => {
		if (!secret) return undefined;
		const timer = setTimeout(() => setSecret(null), 30000);
		return () => clearTimeout(timer);
	}, [secret]);
	return html`<h2>Signing secrets</h2><${Table} caption="Signing secrets" head=${['Created', 'Kind', 'Expires', '']}>
		${endpoint.secrets.map((row) => html`<tr key=${row.id}><td>${time(row.created_at)}</td><td>${row.kind}</td><td>${row.expires_at ? time(row.expires_at) : 'never'}</td>
			<td>${endpoint.may_change && row.expires_at ? html`<${Action} kind="danger" does=${() => post('delete_secret', { secret: row.id })} then=${again}>Delete</${Action}>` : null}</td></tr>`)}</${Table}>
		${endpoint.may_change ? html`<p class="quiet">Who looks at the secret, or changes it, is recorded.</p><div class="buttons">
			<${Action} does=${() => post('secret', { endpoint: endpoint.id })} then=${(answer) => setSecret(answer.secret)}>Reveal</${Action}>
			<${Action} does=${() => post('rotate_secret', { endpoint: endpoint.id })} then=${(answer) => { setSecret(answer.secret); again(); }}>Rotate</${Action}></div>
			<p class="quiet">After a rotation, requests are signed with both for 24 hours.</p>
			<div role="status">${secret ? html`<pre tabindex="0" class="secret">${secret}</pre><p class="quiet">Hidden again after 30 seconds.</p>` : null}</div>` : null}
		<h2>Verify in your code</h2>${snippets.map(([name, text]) => html`<details><summary>${name}</summary><pre tabindex="0">${text}</pre><${Copy} text=${text}>Copy</${Copy}></details>`)}`;
}

function Delete({ endpoint }) {
	const [waiting, setWaiting] = useState(null);
	const host = new URL(endpoint.url).host;
	const [typed, setTyped] = useState('');
	if (waiting === null) return html`<${Action} kind="danger" does=${() => post('delete_endpoint', { endpoint: endpoint.id, dry_run: true })} then=${(answer) => setWaiting(answer.waiting ?? 0)}>Delete…</${Action}>`;
	return html`<div class="trouble"><p>${waiting ? `${number(waiting)} waiting deliveries become canceled.` : 'Nothing waits.'} Its log stays.</p>
		<div class="field"><label for="host">Type ${host} to delete it</label><input id="host" value=${typed} onInput=${(event) => setTyped(event.target.value)} /></div>
		${typed === host ? html`<${Action} kind="danger" does=${() => post('delete_endpoint', { endpoint: endpoint.id })} then=${() => go('/endpoints')}>Delete ${host}</${Action}>` : null}
		<button type="button" onClick=${() => setWaiting(null)}>Keep it</button></div>`;
}

function Settings({ endpoint, again }) {
	const facts = [['Event types', endpoint.event_types.join(', ')], ['Channel', endpoint.channel ?? 'all'], ['Filter', endpoint.filter ?? 'none'], ['Timeout', endpoint.timeout],
		['Retries', `${endpoint.retry_delays.join(', ') || 'none'}${endpoint.retry_span ? ` (${endpoint.retry_span} in all)` : ''}`], ['Body', endpoint.payload], ['Order', endpoint.ordering]];
	return html`${endpoint.may_change ? html`<${EndpointForm} endpoint=${endpoint} onSaved=${again} /><h2>Delete</h2><${Delete} endpoint=${endpoint} />`
		: html`<dl class="facts">${facts.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl>`}
		<h2>Who asked for what</h2><${Operations} endpoint=${endpoint.id} />`;
}

const answerTheChallenge = `if (event.type === 'webhook.verification') return response.end(event.data.challenge);`;

// What is wrong with it, and what to do. Who is shown buttons for it finds them below.
function Health({ endpoint, again }) {
	const { state, since, reason, advice } = endpoint.health ?? {};
	if (!reason) return null;
	return html`<div class="notice"><strong>${sentence(reason)}</strong><p>${since ? `For ${ago(since)}. ` : ''}${advice}</p>
		${state === 'failing' ? html`<p><${Link} to=${endpointPath(endpoint.id, 'failures')}>Failures by cause</${Link}></p>` : null}
		${state === 'unverified' ? html`<p>Nothing but a challenge is sent to it until then; what is for it waits. In JavaScript, once the signature is verified:</p>
			<pre tabindex="0">${answerTheChallenge}</pre>
			${endpoint.may_change ? html`<${Action} does=${() => post('verify_endpoint', { endpoint: endpoint.id })} then=${again}>Ask again now</${Action}>` : null}` : null}</div>`;
}

// Of an endpoint to which nothing was sent.
function Quiet({ endpoint }) {
	const types = endpoint.event_types.join(', ');
	return html`<p>Nothing was sent in 24 hours. It gets ${types === '*' ? 'every type of event' : types}${endpoint.channel ? ` of channel ${endpoint.channel}` : ''}, of what was committed since it was registered.</p>
		<p>What is sent from now on appears here by itself.${endpoint.may_change ? ' Ping sends it an event at once.' : ''}</p>`;
}

const tabs = { deliveries: 'Deliveries', failures: 'Failures', settings: 'Settings', secrets: 'Secrets' };

export function Endpoint({ id, tab }) {
	const found = useAnswer('endpoint', { endpoint: id }, 10000);
	return html`<${Answer} of=${found} title=${`Endpoint ${id}`}>${(endpoint) => html`<h1>${endpoint.url?.replace(/[?].*/, '?…') ?? `Endpoint ${id}, deleted`}</h1>
		<p><${Status} is=${endpoint.health?.state ?? 'deleted'} /> · ${endpoint.application ?? 'all applications'} · ${number(endpoint.waiting?.pending ?? 0)} waiting</p>
		<${Health} endpoint=${endpoint} again=${found.again} />
		<${Hour} hour=${endpoint.hour} />
		${endpoint.may_change ? html`<div class="buttons"><${Ping} id=${id} />
			${endpoint.paused_at ? html`<${Action} does=${() => post('resume', { endpoint: id })} then=${found.again}>Resume</${Action}>` : html`<${Action} does=${() => post('pause', { endpoint: id })} then=${found.again}>Pause</${Action}>`}
			${endpoint.enabled ? html`<${Action} does=${() => post('save_endpoint', { id, enabled: false })} then=${found.again}>Disable</${Action}>` : html`<${Action} kind="main" does=${() => post('save_endpoint', { id, enabled: true })} then=${found.again}>Enable</${Action}>`}</div>` : null}
		<nav class="tabs" aria-label="Endpoint">${Object.entries(tabs).map(([key, name]) => html`<${Link} to=${endpointPath(id, key)} aria-current=${tab === key ? 'page' : undefined}>${name}</${Link}>`)}</nav>
		${tab === 'failures' ? html`<${Failures} endpoint=${endpoint} />` : tab === 'settings' ? html`<${Settings} endpoint=${endpoint} again=${found.again} />`
			: tab === 'secrets' ? html`<${Secrets} endpoint=${endpoint} again=${found.again} />`
			: html`<${DeliveryList} filter=${{ endpoint: id }} empty=${html`<${Quiet} endpoint=${endpoint} />`} />`}`}</${Answer}>`;
}
