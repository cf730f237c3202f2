// What can be pressed, and what the database holds afterwards: actions.mjs CONFIG (page.mjs), which also has receiver.
import { readFileSync } from 'node:fs';
import { config, sql, until, ok, page, signIn, button, seen, visit, register, check } from './page.mjs';

const host = new URL(config.receiver).host;

const emit = (name) => sql(`SELECT bm_webhook.emit('order.acted', '{}', 'shop', '${name}')`);
const row = (label) => page.getByRole('row').filter({ hasText: label });

async function switches() {
	const id = register('shop', 'switches', '/ok');
	const is = (condition) => until(`SELECT ${condition} FROM bm_webhook.endpoint WHERE id = ${id}`, 't');
	await visit(`/endpoints/${id}`);
	await button('Disable').click();
	await is('NOT enabled');
	await button('Enable').waitFor();
	ok(true, 'Disable');
	await visit('/');
	await row('/switches').getByRole('button', { name: 'Enable' }).click();
	await is('enabled');
	ok(true, 'Enable, on the overview');
	await visit(`/endpoints/${id}`);
	await button('Disable').click();
	await button('Enable').click();
	await is('enabled');
	ok(true, 'and on its page');
	await button('Pause').click();
	await is('paused_at IS NOT NULL');
	const event = emit('switches');
	await button('Resume').waitFor();
	await visit('/');
	await row('/switches').getByRole('button', { name: 'Resume' }).click();
	await is('paused_at IS NULL');
	await until(`SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '${event}' AND status = 'delivered'`, '1');
	ok(true, 'Pause, and Resume on the overview: what waited is sent');
}

async function setsAside() {
	const id = register('shop', 'aside', '/status/500', '{1 h,1 h}');
	const event = emit('aside');
	await until(`SELECT attempts FROM bm_webhook.delivery WHERE event_id = '${event}'`, '1');
	const aside = `SELECT count(*) FROM bm_webhook.set_aside WHERE event_id = '${event}'`;
	await visit(`/deliveries/${event}/${id}`);
	await button('Set aside').click();
	await until(aside, '1');
	await seen('Set aside by shop');
	await button('Put back').click();
	await until(aside, '0');
	await button('Set aside').waitFor();
	ok(true, 'Set aside, and Put back');
}

async function secrets() {
	const id = register('shop', 'secrets', '/ok');
	const count = `SELECT count(*) FROM bm_webhook.endpoint_secret WHERE endpoint_id = ${id}`;
	await visit(`/endpoints/${id}/secrets`);
	await button('Rotate').click();
	await until(count, '2');
	await button('Delete').click();
	await until(count, '1');
	ok(sql(`SELECT expires_at IS NULL FROM bm_webhook.endpoint_secret WHERE endpoint_id = ${id}`) === 't', 'Delete of a secret that was rotated: the new one stays');
}

async function file(name) {
	const waiting = page.waitForEvent('download');
	await page.getByRole('link', { name, exact: true }).first().click();
	return readFileSync(await (await waiting).path(), 'utf8').trim().split('\n');
}

async function files() {
	const id = register('shop', 'files', '/ok');
	const event = emit('files');
	await until(`SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '${event}' AND status = 'delivered'`, '1');
	await visit(`/deliveries?endpoint=${id}`);
	const csv = await file('CSV');
	ok(csv.length === 2 && csv[1].includes(event), 'CSV has what the list has', csv.join('\n'));
	const lines = (await file('JSON Lines')).map(JSON.parse);
	ok(lines.length === 1 && JSON.stringify(lines[0]).includes(event), 'so has JSON Lines', JSON.stringify(lines));
}

// Where the time of a delivery went, if it opened a connection.
async function shows() {
	const id = register('shop', 'shows', '/ok');
	const event = emit('shows');
	await until(`SELECT count(*) FROM bm_webhook.delivery WHERE event_id = '${event}' AND status = 'delivered'`, '1');
	const set = (name, connect, tls, first) => sql(`UPDATE bm_webhook.delivery SET duration = '45 ms', name_us = ${name}, connect_us = ${connect}, tls_us = ${tls}, first_byte_us = ${first}
		WHERE event_id = '${event}' AND endpoint_id = ${id}`);
	set(2000, 5000, 25000, 40000);
	await visit(`/deliveries/${event}/${id}`);
	await seen('name 2 ms, connect 3 ms, TLS 20 ms, first byte 15 ms, rest 5 ms');
	ok(await page.locator('.waterfall rect').count() === 5, 'the stages of an attempt that was delivered');
	set('NULL', 'NULL', 'NULL', 'NULL');
	await visit(`/deliveries/${event}/${id}`);
	await seen('HTTP 204 · 45 ms');
	ok(await page.locator('.waterfall').count() === 0, 'and its duration alone, if a connection was open');
}

async function deletes() {
	const id = register('shop', 'deletes', '/status/500', '{1 h}');
	const event = emit('deletes');
	await until(`SELECT attempts FROM bm_webhook.delivery WHERE event_id = '${event}'`, '1');
	await visit(`/endpoints/${id}/settings`);
	await button('Delete…').click();
	await seen('1 waiting deliveries become canceled.');
	await page.getByLabel(`Type ${host} to delete it`).fill(host);
	await button(`Delete ${host}`).click();
	await page.waitForURL(`${config.url}/endpoints`);
	await until(`SELECT deleted_at IS NOT NULL FROM bm_webhook.endpoint WHERE id = ${id}`, 't');
	await until(`SELECT status FROM bm_webhook.delivery WHERE event_id = '${event}'`, 'canceled');
	ok(true, 'Delete says what becomes of what waits, and does it');
}

async function explains() {
	const id = register('shop', 'explains', '/ok');
	sql(`UPDATE bm_webhook.endpoint SET filter = '$.data.n > 1' WHERE id = ${id}`);
	const event = emit('explains');
	await visit(`/events/${event}`);
	const shown = await row('/explains').innerText();
	ok(/no\s+filter\s+filter: .*"n" > 1/.test(shown), 'why an event was not sent: the filter that decides', shown);
}

async function operator() {
	const id = register('shop', 'watched', '/ok');
	await signIn('operator');
	await visit(`/endpoints/${id}`);
	const shown = (await page.getByRole('button').allInnerTexts()).filter((name) => /^(Ping|Pause|Resume|Enable|Disable|Delete…|Rotate|Reveal)$/.test(name));
	ok(shown.length === 0, 'an operator is offered none of these', shown);
	await visit('/endpoints/new');
	await seen('Your login may not register endpoints.');
	ok(await button('Register').count() === 0, 'nor a form that would be refused');
}

// What is said to a login that may not register endpoints, and to one that may.
async function begins() {
	const says = async (user, text, count) => {
		await signIn(user);
		await seen(text);
		const offers = page.getByRole('link', { name: 'Register one' });
		const overview = await offers.count();
		await visit('/endpoints');
		await seen('No endpoint yet.');
		ok(overview === count && await offers.count() === count, `without an endpoint, ${user} is ${count ? '' : 'not '}led to registering one`);
	};
	await says('operator', 'Owners of applications register them.', 0);
	await says('shop', 'Register one', 1);
	await visit('/');
	await seen('Events come from tables that are watched');
	const told = page.getByText(/events? (was|were) committed since you opened this page/);
	for (let i = 0; i < 60 && await told.count() === 0; i++) {
		emit('nobody');
		await new Promise((resolve) => setTimeout(resolve, 500));
	}
	await told.waitFor();
	ok(true, 'and sees that there are events');
}

// The button is far below what is wrong.
async function refuses() {
	await visit('/endpoints/new');
	await page.getByLabel('URL', { exact: true }).fill('http://localhost:3000/');
	await page.getByLabel('Delays before').focus();
	await button('Register').click();
	await seen('Write it as 127.0.0.1');
	await page.waitForFunction(() => document.activeElement.id === 'url');
	ok(true, 'what is wrong is where the cursor goes');
	ok(await page.getByLabel('Retries').inputValue() === 'Standard', 'the retries are named');
}

await check(async () => {
	for (const part of [begins, refuses, switches, setsAside, secrets, files, shows, deletes, explains, operator]) await part();
});
