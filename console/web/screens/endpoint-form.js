import { html, session, mayChange, useState, useEffect, useRef, useAnswer, post, go, sentence, Trouble, endpointPath } from '../lib.js';

const presets = {
	Standard: ['5 s', '5 min', '30 min', '2 h', '5 h', '10 h', '14 h', '20 h', '24 h'],
	Quick: ['5 s', '30 s', '1 min', '5 min'],
	'A day': ['10 s', '1 min', '10 min', '1 h', '3 h', '8 h', '12 h'],
	None: [],
};
const columns = ['url', 'application', 'event_types', 'channel', 'filter', 'retry_delays', 'timeout', 'ttl', 'rate_limit', 'max_in_flight', 'headers', 'description', 'ordering', 'payload'];

// The database says what is wrong; the column that it speaks of is where it is shown.
export const fieldOf = (error) => error.column ?? columns.find((name) => `${error.message} ${error.detail ?? ''}`.includes(name))
	?? (/\bURL\b|address|scheme|host/i.test(error.message) ? 'url' : undefined);

const units = [[/^(ms|msecs?|milliseconds?)$/, 0.001], [/^(s|secs?|seconds?)$/, 1], [/^(m|mins?|minutes?)$/, 60], [/^(h|hrs?|hours?)$/, 3600], [/^(d|days?)$/, 86400], [/^(w|weeks?)$/, 604800]];

// Of an interval, as people and PostgreSQL write it; NaN: of what is written otherwise.
function seconds(text) {
	const part = /\s*(?:(\d+):(\d\d)(?::(\d\d(?:\.\d+)?))?|(\d+(?:\.\d+)?)\s*([a-z]+))\s*/iy;
	let sum = text.trim() ? 0 : NaN;
	while (part.lastIndex < text.length) {
		const [all, hours, minutes, rest, n, unit] = part.exec(text) ?? [];
		if (!all) return NaN;
		sum += hours ? 3600 * hours + 60 * minutes + Number(rest ?? 0) : n * (units.find(([pattern]) => pattern.test(unit.toLowerCase()))?.[1] ?? NaN);
	}
	return sum;
}

const labelOf = (column) => document.querySelector(`label[for="${column}"]`)?.textContent ?? column.replace('_', ' ');

const listOf = (text) => text.split(',').map((one) => one.trim()).filter(Boolean);

// Delays are varied a little, so that not all come back at once.
function retries(delays) {
	const sum = delays.reduce((all, delay) => all + seconds(delay), 0);
	const [n, unit] = sum < 120 ? [sum, 's'] : sum < 7200 ? [sum / 60, 'min'] : sum < 345600 ? [sum / 3600, 'h'] : [sum / 86400, 'days'];
	if (delays.length === 0) return 'no retries';
	return `${delays.length} ${delays.length === 1 ? 'retry' : 'retries'}${Number.isNaN(sum) ? '' : ` in ${n < 10 ? Math.round(10 * n) / 10 : Math.round(n)} ${unit}`}`;
}

function Field({ name, label, hint, error, children }) {
	return html`<div class="field"><label for=${name}>${label}</label>${children}
		${hint ? html`<div class="quiet" id=${`${name}-hint`}>${hint}</div>` : null}
		${error ? html`<div role="alert">${[error.message, error.detail, error.hint].filter(Boolean).map(sentence).join(' ')}</div>` : null}</div>`;
}

function EventPicker({ patterns, onChange }) {
	const types = useAnswer('event_types', {});
	const known = types.answer ?? [];
	const families = [...new Set(known.map((type) => `${type.name.split('.')[0]}.*`))];
	const toggle = (pattern) => (event) => onChange(event.target.checked ? [...patterns, pattern] : patterns.filter((p) => p !== pattern));
	const other = patterns.filter((p) => p !== '*' && !families.includes(p) && !known.some((type) => type.name === p));
	return html`<fieldset><legend>Event types</legend><div class="picker" tabindex="0" role="group" aria-label="Event types">
		<label><input type="checkbox" checked=${patterns.includes('*')} onChange=${toggle('*')} /> * <span class="quiet">every event, but those about sending itself: delivery.*, endpoint.*, webhook.*</span></label>
		${families.map((family) => html`<label key=${family}><input type="checkbox" checked=${patterns.includes(family)} onChange=${toggle(family)} /> ${family}</label>`)}
		${known.map((type) => html`<label key=${type.name}><input type="checkbox" checked=${patterns.includes(type.name)} onChange=${toggle(type.name)} /> ${type.name} <span class="quiet">${type.description}</span></label>`)}</div>
		<label for="other">Others, separated by spaces</label><input id="other" value=${other.join(' ')}
			onChange=${(event) => onChange([...patterns.filter((p) => !other.includes(p)), ...event.target.value.split(/[\s,]+/).filter(Boolean)])} /></fieldset>`;
}

const presetOf = (delays) => Object.keys(presets).find((name) => String(presets[name].map(seconds)) === String(listOf(delays).map(seconds))) ?? '';

// What the same user had typed here when the session ended, once. Values of headers are not kept: they may be secret.
function takeDraft() {
	const draft = session.draft;
	session.draft = null;
	return draft?.path === location.pathname && draft.user === session.who.user ? draft.values : null;
}

function useDraft(form) {
	const [draft] = useState(takeDraft);
	useEffect(() => {
		const { user } = session.who;
		session.keep = () => {
			if (!form.current) return;
			const { headers, ...values } = Object.fromEntries(new FormData(form.current));
			session.draft = { path: location.pathname, user, values: { ...values, hadHeaders: headers.trim() !== '' } };
		};
		return () => { session.keep = null; };
	}, []);
	return draft;
}

function Refusal() {
	return html`<h1>New endpoint</h1><div class="notice"><p><strong>Your login may not register endpoints.</strong></p><p>The owner of an application does. An administrator makes one:
		<code>SELECT bm_webhook.grant_owner('application', 'login')</code></p></div>`;
}

// endpoint: what is changed; none: a new one.
export function EndpointForm({ endpoint, onSaved }) {
	const form = useRef();
	const draft = useDraft(form);
	const [patterns, setPatterns] = useState(draft?.event_types.split(' ').filter(Boolean) ?? endpoint?.event_types ?? ['*']);
	const [state, set] = useState({});
	const field = state.error && fieldOf(state.error);
	// What is wrong may be further up than the button, or folded in.
	useEffect(() => {
		const input = document.getElementById(field);
		input?.closest('details')?.setAttribute('open', '');
		input?.focus();
	}, [state.error]);
	const at = (name) => field === name ? state.error : null;
	const submit = async (event) => {
		event.preventDefault();
		const typed = Object.fromEntries(new FormData(event.target));
		const a = { url: typed.url, event_types: patterns, description: typed.description || null, channel: typed.channel || null, filter: typed.filter || null,
			timeout: typed.timeout, ttl: typed.ttl || null, rate_limit: typed.rate_limit ? Number(typed.rate_limit) : null, max_in_flight: Number(typed.max_in_flight),
			ordering: typed.ordering, payload: typed.payload, retry_delays: listOf(typed.retry_delays) };
		if (endpoint) a.id = endpoint.id; else a.application = typed.application || null;
		if (typed.headers.trim()) {
			try { a.headers = JSON.parse(typed.headers); } catch { return set({ error: { column: 'headers', message: 'the headers are not a JSON object' } }); }
		}
		set({ isBusy: true });
		try {
			const saved = await post('save_endpoint', a);
			set({ isSaved: true });
			endpoint ? onSaved?.() : go(endpointPath(saved.id));
		} catch (error) {
			set({ error });
		}
		return undefined;
	};
	const value = (name, standard = '') => draft?.[name] ?? (endpoint ? endpoint[name] ?? '' : standard);
	const [delays, setDelays] = useState(draft?.retry_delays ?? (endpoint?.retry_delays ?? presets.Standard).join(', '));
	if (!endpoint && !mayChange()) return html`<${Refusal} />`;
	return html`${endpoint ? null : html`<h1>New endpoint</h1>`}<form ref=${form} onSubmit=${submit}>
		${draft && !state.isSaved ? html`<p class="notice" role="status">What you had typed is here again, and not saved yet.${draft.hadHeaders ? ' Type the headers again: they are not kept.' : ''}</p>` : null}
		<input type="hidden" name="event_types" value=${patterns.join(' ')} />
		<${Field} name="url" label="URL" hint="Where events are sent by POST, such as https://hooks.example.com/path." error=${at('url')}><input id="url" name="url" type="text" inputmode="url" required defaultValue=${value('url')} aria-describedby="url-hint" /></${Field}>
		${endpoint ? null : html`<${Field} name="application" label="Application" hint="It gets the events of this application alone." error=${at('application')}>
			<select id="application" name="application" aria-describedby="application-hint">${session.who.is_unbound ? html`<option value="">all</option>` : null}
				${session.who.applications.map((name) => html`<option value=${name} selected=${name === draft?.application}>${name}</option>`)}</select></${Field}>`}
		<${EventPicker} patterns=${patterns} onChange=${setPatterns} />${at('event_types') ? html`<${Trouble} error=${state.error} />` : null}
		<${Field} name="retry" label="Retries"><select id="retry" onChange=${(event) => { if (event.target.value) setDelays(presets[event.target.value].join(', ')); }}>
			<option value="" selected=${presetOf(delays) === ''}>as below</option>${Object.keys(presets).map((name) => html`<option value=${name} selected=${presetOf(delays) === name}>${name}: ${retries(presets[name])}</option>`)}</select></${Field}>
		<${Field} name="retry_delays" label="Delays before each further attempt" hint=${sentence(retries(listOf(delays)))} error=${at('retry_delays')}><input id="retry_delays" name="retry_delays" aria-describedby="retry_delays-hint" value=${delays} onInput=${(event) => setDelays(event.target.value)} /></${Field}>
		<details open=${draft != null}><summary>More</summary>
			<${Field} name="description" label="Description" error=${at('description')}><input id="description" name="description" defaultValue=${value('description')} /></${Field}>
			<${Field} name="channel" label="Channel" hint="Only events of this channel; empty: all." error=${at('channel')}><input id="channel" name="channel" defaultValue=${value('channel')} /></${Field}>
			<${Field} name="filter" label="Filter" hint=${'A jsonpath predicate over the body, such as $.data.amount > 100'} error=${at('filter')}><input id="filter" name="filter" defaultValue=${value('filter')} /></${Field}>
			<${Field} name="timeout" label="Timeout of an attempt" error=${at('timeout')}><input id="timeout" name="timeout" defaultValue=${value('timeout', '15 s')} /></${Field}>
			<${Field} name="ttl" label="Not sent when older than" hint="Such as 1 day; empty: however old." error=${at('ttl')}><input id="ttl" name="ttl" defaultValue=${value('ttl')} /></${Field}>
			<${Field} name="rate_limit" label="Requests a second" hint="Empty: no limit." error=${at('rate_limit')}><input id="rate_limit" name="rate_limit" inputmode="numeric" defaultValue=${value('rate_limit')} /></${Field}>
			<${Field} name="max_in_flight" label="Requests at the same time" error=${at('max_in_flight')}><input id="max_in_flight" name="max_in_flight" inputmode="numeric" defaultValue=${value('max_in_flight', 128)} /></${Field}>
			<${Field} name="ordering" label="Order"><select id="ordering" name="ordering">${['none', 'by_message'].map((o) => html`<option selected=${value('ordering', 'none') === o}>${o}</option>`)}</select></${Field}>
			<${Field} name="payload" label="Body"><select id="payload" name="payload">${['full', 'thin'].map((o) => html`<option selected=${value('payload', 'full') === o}>${o}</option>`)}</select></${Field}>
			<${Field} name="headers" label="Headers" hint=${endpoint ? 'A JSON object; empty: as they are. Values are not shown.' : 'A JSON object of strings.'} error=${at('headers')}><textarea id="headers" name="headers"></textarea></${Field}>
		</details>
		${state.error && !(field && columns.includes(field)) ? html`<${Trouble} error=${state.error} />` : null}
		${state.error && field ? html`<p role="alert">Not saved: see ${labelOf(field)}.</p>` : null}
		<p role="status">${state.isSaved ? 'Saved.' : ''}</p>
		<button class="main" disabled=${state.isBusy}>${endpoint ? 'Save' : 'Register'}</button></form>`;
}
