// What every screen uses: the elements, the calls of the API, the address, and how values are written.
import { h } from './vendor/preact.mjs';
import { useState, useEffect, useRef, useCallback } from './vendor/hooks.mjs';
import htm from './vendor/htm.mjs';

export { useState, useEffect, useRef, useCallback };
export const html = htm.bind(h);

// ---- the API

// keep: of a form that is open, called when the session ends by itself; draft: what it kept for who signs in again, in memory alone
export const session = { csrf: null, who: null, onEnd: () => {}, keep: null, draft: null };

export class ApiError extends Error {
	constructor(status, answer) {
		super(answer.message || `The console answered with ${status}.`);
		Object.assign(this, { status, sqlstate: answer.sqlstate, hint: answer.hint, detail: answer.detail, column: answer.column });
	}
}

// The session has ended, or its connection to the database, which is the same.
export const isOver = (error) => error.status === 401 || error.sqlstate === '08006';

async function request(path, options) {
	let response;
	try {
		response = await fetch(path, { credentials: 'same-origin', ...options });
	} catch {
		throw new ApiError(0, { message: 'The console does not answer.', hint: 'Is it still running? It is tried again.' });
	}
	const text = await response.text();
	let answer = {};
	try { answer = JSON.parse(text || '{}'); } catch { answer = { message: text.slice(0, 200) }; }
	if (response.ok) return answer;
	const error = new ApiError(response.status, answer);
	if (session.who && isOver(error)) {
		session.keep?.();
		session.onEnd(error);
	}
	throw error;
}

export const get = (name, a = {}, signal) => request(`/api/${name}?a=${encodeURIComponent(JSON.stringify(a))}`, { signal });
export const post = (name, a = {}) => request(`/api/${name}`, {
	method: 'POST', headers: { 'content-type': 'application/json', ...(session.csrf ? { 'x-csrf': session.csrf } : {}) }, body: JSON.stringify(a) });
export const exportUrl = (a) => `/api/export?a=${encodeURIComponent(JSON.stringify(a))}`;

// Who owns an application, and administrators.
export const mayChange = () => session.who.applications.length > 0 || session.who.is_unbound;

// ---- the address: a screen's filters are its query

export function go(path) {
	history.pushState(null, '', path);
	dispatchEvent(new Event('popstate'));
}

export function withQuery(changes) {
	const query = new URLSearchParams(location.search);
	for (const [key, value] of Object.entries(changes)) value ? query.set(key, value) : query.delete(key);
	return location.pathname + (query.size ? `?${query}` : '');
}

export const query = () => Object.fromEntries(new URLSearchParams(location.search));
export const pick = (object, names) => compact(Object.fromEntries(names.map((name) => [name, object[name]])));
// Where a list goes on: Next and Older set these.
export const paging = ['since', 'until', 'before', 'before_endpoint'];
export const compact = (object) => Object.fromEntries(Object.entries(object).filter(([, value]) => value !== '' && value != null));

export function Link({ to, children, ...rest }) {
	const follow = (event) => {
		if (event.metaKey || event.ctrlKey || event.shiftKey || event.button) return;
		event.preventDefault();
		go(to);
	};
	return html`<a href=${to} onClick=${follow} ...${rest}>${children}</a>`;
}

// ---- questions: the last good answer stays while the next is waited for, and after an error; what is not waited for any more is
// given up, and the server cancels it

// Each answer may take 1/2000 of the time until the next: so what 30 look on at takes the server 1.5 % of a processor at
// most, while an answer takes up to 90 ms. An overview has two questions and a stream.
export const pause = (every, took) => Math.max(every, Math.min(2000 * took, 180000));

// ask: of what takes several questions, what asks them
export function useAnswer(name, a, every = 0, ask = get) {
	const [state, set] = useState({ answer: null, error: null, at: null });
	const key = JSON.stringify(a);
	const latest = useRef(0);
	const leaving = useRef();
	const again = useCallback(async () => {
		const mine = ++latest.current;
		try {
			const answer = await ask(name, JSON.parse(key), leaving.current?.signal);
			if (mine === latest.current) set({ answer, error: null, at: new Date() });
			return true;
		} catch (error) {
			if (mine === latest.current) set((was) => ({ ...was, error }));
			return false;
		}
	}, [name, key]);
	useEffect(() => {
		set({ answer: null, error: null, at: null });
		leaving.current = new AbortController();
		let wait = every, timer = 0, ended = false;
		const turn = async () => {
			const began = performance.now();
			const good = document.hidden ? true : await again();
			wait = good ? pause(every, performance.now() - began) : Math.min(Math.max(wait, 1000) * 2, 60000);
			if (every && !ended) timer = setTimeout(turn, wait);
		};
		turn();
		return () => { ended = true; clearTimeout(timer); latest.current++; leaving.current.abort(); };
	}, [again, every]);
	return { ...state, again };
}

// What a dispatcher was asked to do is done a moment later: it is looked at again, as long as nobody goes elsewhere.
export function soon(again) {
	const here = location.href;
	for (const wait of [0, 500, 2000, 5000]) setTimeout(() => location.href === here && again(), wait);
}

// Events as they are committed; the stream is closed while nobody looks. What came before it was open is for onOpen. A
// browser does not say why a stream is refused: a question does.
export function useTail(isOn, onEvents, onOpen = () => {}) {
	const handler = useRef();
	handler.current = { onEvents, onOpen };
	useEffect(() => {
		if (!isOn) return undefined;
		let source = null;
		const open = () => {
			source?.close();
			source = document.hidden ? null : new EventSource('/api/live?a={}');
			source?.addEventListener('tail', (event) => handler.current.onEvents(JSON.parse(event.data)));
			source?.addEventListener('open', () => handler.current.onOpen());
			source?.addEventListener('error', (event) => { if (event.target.readyState === EventSource.CLOSED) get('session').catch(() => {}); });
		};
		open();
		document.addEventListener('visibilitychange', open);
		return () => { document.removeEventListener('visibilitychange', open); source?.close(); };
	}, [isOn]);
}

// ---- what is shown when there is nothing, or nothing yet

export const sentence = (text) => `${text[0].toUpperCase()}${text.slice(1)}${/[.!?]$/.test(text) ? '' : '.'}`;

export function Trouble({ error }) {
	const isAway = /^(08|57P)/.test(error.sqlstate);
	return html`<div class="trouble" role="alert"><strong>${isAway ? 'The database cannot be reached.' : sentence(error.message)}</strong>
		${isAway ? html`<p>${sentence(error.message)}</p>` : null}
		${error.sqlstate === '57014' ? html`<p>That is too much to read: choose a shorter period or an endpoint.</p>` : null}
		${error.detail ? html`<p>${error.detail}</p>` : null}${error.hint ? html`<p>${error.hint}</p>` : null}
		${error.sqlstate ? html`<p class="quiet">SQLSTATE ${error.sqlstate}</p>` : null}</div>`;
}

// title: of a page that has none without an answer
export function Answer({ of, title, children }) {
	return html`${title && of.error && !of.answer ? html`<h1>${title}</h1>` : null}${of.error ? html`<${Trouble} error=${of.error} />` : null}
		${of.error && of.answer ? html`<p class="quiet">As of ${time(of.at)}.</p>` : null}
		${of.answer ? children(of.answer) : of.error ? null : html`<p class="quiet" aria-busy="true">Loading…</p>`}`;
}

// A button that does something: it waits for the answer, and says what went wrong.
export function Action({ children, does, then, kind = '', isOff = false, ...rest }) {
	const [state, set] = useState({});
	const press = async () => {
		set({ isBusy: true });
		try {
			const answer = await does();
			set({});
			then?.(answer);
		} catch (error) {
			set({ error });
		}
	};
	return html`<span class="action"><button type="button" class=${kind} disabled=${state.isBusy || isOff} onClick=${press} ...${rest}>${children}</button>
		${state.error ? html`<${Trouble} error=${state.error} />` : null}</span>`;
}

export function Copy({ text, children }) {
	const [copied, set] = useState(false);
	const copy = async () => {
		await navigator.clipboard.writeText(typeof text === 'function' ? await text() : text);
		set(true);
		setTimeout(() => set(false), 2000);
	};
	return html`<button type="button" onClick=${copy}>${children}</button><span role="status" class="quiet">${copied ? ' Copied.' : ''}</span>`;
}

export function Status({ is }) {
	return html`<span class=${`status ${String(is).replace(/\W/g, '-')}`}>${is}</span>`;
}

export function Table({ caption, head, children }) {
	return html`<div class="scroll" tabindex="0" role="region" aria-label=${caption}><table><caption class="hidden">${caption}</caption>
		<thead><tr>${head.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody>${children}</tbody></table></div>`;
}

// ---- values

const two = (n) => String(n).padStart(2, '0');

export function time(value) {
	if (!value) return '–';
	const at = new Date(value);
	const clock = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
	return at.toDateString() === new Date().toDateString() ? clock : `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${clock}`;
}

export function ago(value) {
	if (!value) return '–';
	const seconds = Math.max(0, Math.round((Date.now() - new Date(value)) / 1000));
	const [n, unit] = seconds < 90 ? [seconds, 's'] : seconds < 5400 ? [Math.round(seconds / 60), 'min'] : seconds < 129600 ? [Math.round(seconds / 3600), 'h'] : [Math.round(seconds / 86400), 'd'];
	return `${n} ${unit}`;
}

export const ms = (value) => value == null ? '–' : value >= 10000 ? `${(value / 1000).toFixed(1)} s` : `${Math.round(value)} ms`;
export const number = (value) => value == null ? '–' : Number(value).toLocaleString('en');
// Counting ends somewhere: then there are more.
export const counted = (value, isPartial) => value != null && isPartial ? `more than ${number(value)}` : number(value);
export const eventPath = (event) => `/events/${event}`;
export const deliveryPath = (event, endpoint) => `/deliveries/${event}/${endpoint}`;
export const endpointPath = (endpoint, tab) => `/endpoints/${endpoint}${tab ? `/${tab}` : ''}`;
