// The shell: who is signed in, the navigation, and which screen an address is.
import { render } from './vendor/preact.mjs';
import { html, useState, useEffect, useRef, get, post, session, isOver, go, Link, Trouble } from './lib.js';
import { SignIn } from './screens/sign-in.js';
import { Overview } from './screens/overview.js';
import { Endpoints } from './screens/endpoints.js';
import { EndpointForm } from './screens/endpoint-form.js';
import { Endpoint } from './screens/endpoint.js';
import { Deliveries } from './screens/deliveries.js';
import { Delivery } from './screens/delivery.js';
import { Event } from './screens/event.js';
import { Message } from './screens/message.js';
import { Reports } from './screens/reports.js';
import { EventTypes } from './screens/event-types.js';
import { Activity } from './screens/activity.js';
import { System } from './screens/system.js';

const routes = [
	[/^\/$/, 'Overview', () => html`<${Overview} />`],
	[/^\/endpoints$/, 'Endpoints', () => html`<${Endpoints} />`],
	[/^\/endpoints\/new$/, 'New endpoint', () => html`<${EndpointForm} />`],
	[/^\/endpoints\/(\d+)(?:\/(\w+))?$/, 'Endpoint', (id, tab) => html`<${Endpoint} id=${Number(id)} tab=${tab ?? 'deliveries'} key=${id} />`],
	[/^\/deliveries$/, 'Deliveries', () => html`<${Deliveries} />`],
	[/^\/deliveries\/([0-9a-f-]{36})\/(\d+)$/, 'Delivery', (event, endpoint) => html`<${Delivery} event=${event} endpoint=${Number(endpoint)} key=${event + endpoint} />`],
	[/^\/events\/([0-9a-f-]{36})$/, 'Event', (event) => html`<${Event} event=${event} key=${event} />`],
	[/^\/messages\/(.+)$/, 'Message', (id) => html`<${Message} id=${decodeURIComponent(id)} key=${id} />`],
	[/^\/reports$/, 'Reports', () => html`<${Reports} />`],
	[/^\/event-types$/, 'Event types', () => html`<${EventTypes} />`],
	[/^\/activity$/, 'Activity', () => html`<${Activity} />`],
	[/^\/system$/, 'System', () => html`<${System} />`],
];
const places = [['/', 'Overview'], ['/endpoints', 'Endpoints'], ['/deliveries', 'Deliveries'], ['/reports', 'Reports'],
	['/event-types', 'Event types'], ['/activity', 'Activity'], ['/system', 'System']];

// The tabs of an endpoint are one page: who goes from one to another stays where he is.
const pageOf = (path) => path.replace(/^(\/endpoints\/\d+)\/\w+$/, '$1');

function find(path) {
	for (const [pattern, title, make] of routes) {
		const match = path.match(pattern);
		if (match) return { title, screen: make(...match.slice(1)) };
	}
	return { title: 'Not found', screen: html`<h1>There is no such page</h1><p><${Link} to="/">Overview</${Link}></p>` };
}

function Search() {
	const input = useRef();
	useEffect(() => {
		const focus = (event) => {
			if (event.key !== '/' || /^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) return;
			event.preventDefault();
			input.current.focus();
		};
		addEventListener('keydown', focus);
		return () => removeEventListener('keydown', focus);
	}, []);
	const search = (event) => {
		event.preventDefault();
		const id = input.current.value.trim();
		if (id) go(/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id) ? `/events/${id.toLowerCase()}` : `/messages/${encodeURIComponent(id)}`);
	};
	return html`<form role="search" onSubmit=${search}><label class="hidden" for="search">Event or message id</label>
		<input id="search" ref=${input} type="search" placeholder="Event or message id" autocomplete="off" /></form>`;
}

function Shell({ who, onSignOut }) {
	const [path, setPath] = useState(location.pathname);
	const main = useRef();
	useEffect(() => {
		const follow = () => setPath((was) => {
			if (pageOf(was) !== pageOf(location.pathname)) { scrollTo(0, 0); main.current?.focus(); }
			return location.pathname;
		});
		const change = () => { follow(); setQuery(location.search); };
		addEventListener('popstate', change);
		return () => removeEventListener('popstate', change);
	}, []);
	const [search, setQuery] = useState(location.search);
	const { title, screen } = find(path);
	useEffect(() => { document.title = `${title} · Webhooks`; }, [title]);
	const seen = places.filter(([place]) => place !== '/system' || who.sees_all || who.is_unbound);
	const isAt = (place) => place === '/' ? path === '/' : path.startsWith(place);
	return html`<a class="skip" href="#main">Skip to content</a>
		<header><strong class="name">Webhooks</strong>
			<nav aria-label="Main">${seen.map(([place, name]) => html`<${Link} to=${place} aria-current=${isAt(place) ? 'page' : undefined}>${name}</${Link}>`)}</nav>
			<${Search} />
			<span class="who">${who.user} · ${who.database}</span><button type="button" onClick=${onSignOut}>Sign out</button></header>
		<main id="main" tabindex="-1" ref=${main} data-query=${search}>${screen}</main>`;
}

// What kept from finding out who it is; the session may go on.
function Unknown({ error, again, signIn }) {
	return html`<main class="sign-in"><h1>Webhooks</h1><${Trouble} error=${error} />
		<div class="buttons"><button type="button" class="main" onClick=${again}>Try again</button><button type="button" onClick=${signIn}>Sign in</button></div></main>`;
}

// Who signs in again is where he was: the address is as it was.
function App() {
	const [who, setWho] = useState(undefined);
	const [error, setError] = useState(null);
	const end = (why) => { session.who = null; setError(why); setWho(null); };
	const read = async () => {
		const answer = await get('session');
		session.csrf = answer.csrf;
		session.who = answer.session;
		setError(null);
		setWho(answer.session);
	};
	const look = () => read().catch((why) => isOver(why) ? end(why.sqlstate === '28000' ? null : why) : setError(why));
	const signOut = async () => {
		await post('logout').catch(() => {});
		history.replaceState(null, '', '/');
		session.draft = null;
		end(null);
	};
	session.onEnd = end;
	useEffect(() => { look(); }, []);
	if (who) return html`<${Shell} who=${who} onSignOut=${signOut} />`;
	if (who === null) return html`<${SignIn} ended=${error} onSignedIn=${read} />`;
	return error ? html`<${Unknown} error=${error} again=${look} signIn=${() => end(null)} />` : html`<main><p class="quiet">Loading…</p></main>`;
}

render(html`<${App} />`, document.getElementById('app'));
