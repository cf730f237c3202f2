// The pages in a real browser: browser.mjs CONFIG (page.mjs), which also has receiver, screenshots, and
// is_stand_in (it is serve.mjs that serves them).
import { config, sql, hold, letGo, until, ok, watch, page, fillSignIn, signIn, button, seen, visit, audit, check } from './page.mjs';

const tab = (name) => page.getByRole('navigation', { name: 'Endpoint' }).getByRole('link', { name }).click();

async function setUrl(path) {
	await tab('Settings');
	await page.getByLabel('URL', { exact: true }).fill(config.receiver + path);
	await page.getByLabel('Delays before').fill('');
	await button('Save').click();
	await page.getByText('Saved.').waitFor();
}

async function ping() {
	await button('Ping').click();
	await page.locator('.buttons [role=status] .status.delivered').waitFor();
}

async function secret(name) {
	await button(name).click();
	return page.locator('pre.secret').innerText();
}

async function works() {
	await signIn('shop');
	await seen('No endpoint yet.');
	await audit('Overview without endpoints');
	await page.getByRole('link', { name: 'Register one' }).click();
	await page.getByLabel('URL', { exact: true }).fill('ftp://hooks.example.com/');
	await button('Register').click();
	await page.locator('.field', { has: page.locator('#url') }).getByRole('alert').waitFor();
	ok(true, 'a wrong URL is refused beside the field');
	await audit('New endpoint, refused');
	await page.getByLabel('URL', { exact: true }).fill(`${config.receiver}/ok/shop`);
	await button('Register').click();
	await button('Ping').waitFor();
	const id = page.url().match(/endpoints\/(\d+)/)[1];
	await ping();
	ok(true, 'a tenant registers an endpoint and pings it');
	await setUrl('/status/500/shop');
	sql("SELECT bm_webhook.emit('order.paid', '{\"n\": 1}', 'shop', 'sms', 'm-1') FROM generate_series(1, 3)");
	await until(`SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = ${id} AND status = 'failed'`, '3');
	await visit(`/endpoints/${id}/failures`);
	await seen('http_status');
	ok(true, 'what failed is seen with its cause');
	await audit('Failures of an endpoint');
	await page.getByRole('link', { name: 'open' }).click();
	await seen('HTTP status 500');
	await button('Show').click();
	await page.getByText('webhook-signature').first().waitFor();
	await audit('Delivery that failed');
	const delivery = new URL(page.url()).pathname;
	await visit(`/endpoints/${id}`);
	await setUrl('/ok/shop');
	await tab('Failures');
	await button('Count').first().click();
	await button('Send again 3').click();
	await seen('Sent again in the background: 3 that had failed.');
	await until(`SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = ${id} AND status = 'delivered'`, '4');
	await visit(delivery);
	await seen('sent again by shop');
	ok(true, 'repaired, and what failed is sent again');
	await button('Send again').click();
	await page.waitForFunction(() => document.body.innerText.split('sent again by shop').length === 3);
	ok(true, 'one delivery is sent again');
	await visit(`/endpoints/${id}/secrets`);
	const before = await secret('Reveal');
	await button('Rotate').click();
	await page.waitForFunction((was) => document.querySelector('pre.secret')?.innerText !== was, before);
	const after = await page.locator('pre.secret').innerText();
	ok(/^whsec_/.test(before) && /^whsec_/.test(after) && before !== after, 'the secret is shown, and rotated');
	await audit('Secrets');
	await ping();
	ok(true, 'and the endpoint gets its ping');
	await button('Pause').click();
	await button('Resume').click();
	await button('Pause').waitFor();
	ok(true, 'paused and resumed');
	await visit(`/events/${delivery.split('/')[2]}`);
	await seen('Who gets it');
	await page.keyboard.press('/');
	await page.keyboard.type('m-1');
	await page.keyboard.press('Enter');
	await page.getByRole('heading', { level: 1, name: 'Message m-1' }).waitFor();
	ok(true, 'a message is found from the keyboard');
	return { id, delivery };
}

// An endpoint of the shop that works() has not seen.
const register = (path, columns = '', values = '') => sql(`INSERT INTO bm_webhook.endpoint (application, url, event_types${columns}) VALUES ('shop', '${config.receiver}${path}', '{order.*}'${values}) RETURNING id`);
const rows = (caption) => `[aria-label="${caption}"] tbody tr`;

// Lists go on where they say so, wherever they are shown.
async function goesOn(caption, link) {
	await page.waitForFunction((selector) => document.querySelectorAll(selector).length === 50, rows(caption));
	await page.getByRole('link', { name: link }).click();
	await page.waitForFunction((selector) => { const { length } = document.querySelectorAll(selector); return length > 0 && length < 50; }, rows(caption));
}

async function lists() {
	const id = register('/ok/lists', ', channel', ", 'lists'");
	sql(`SELECT count(bm_webhook.secret(${id})), count(bm_webhook.emit('order.listed', '{}', 'shop', 'lists')) FROM generate_series(1, 60)`);
	await until(`SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = ${id} AND status = 'delivered'`, '60');
	await visit(`/endpoints/${id}`);
	await goesOn('Deliveries', 'Next 50');
	await page.getByRole('link', { name: 'Older: the day before' }).click();
	await seen('None since');
	ok(true, 'the deliveries of an endpoint go on');
	await page.setViewportSize({ width: 390, height: 600 });
	await page.evaluate(() => document.querySelector('.tabs').scrollIntoView());
	await page.getByRole('link', { name: 'Secrets' }).click();
	await seen('Verify in your code');
	ok(await page.evaluate(() => scrollY > 0 && document.activeElement.textContent === 'Secrets'), 'who goes to another tab stays where he is');
	await page.setViewportSize({ width: 1280, height: 900 });
	await visit('/deliveries?type=nothing.*');
	await seen('that matches.');
	ok(true, 'a list without what is looked for says so');
	const message = 'deadbeef-0000-4000-8000-000000000001';
	sql(`SELECT bm_webhook.emit('order.listed', '{}', 'shop', 'lists', message_id => '${message}')`);
	await page.getByRole('searchbox').fill(message);
	await page.keyboard.press('Enter');
	await page.getByRole('link', { name: 'Search messages' }).click();
	await page.getByRole('link', { name: 'order.listed' }).first().waitFor();
	ok(true, 'a message is found whose id looks like that of an event');
	await visit(`/endpoints/${id}/settings`);
	await goesOn('Who asked for what', 'Next 50');
	ok(true, 'so does what was asked for it');
}

// What has been counted is what is done, whatever comes in between.
async function counts() {
	sql("SELECT bm_webhook.emit('order.counted', '{}', 'shop', 'counts') FROM generate_series(1, 2)");
	const id = register('/status/500/counts', ', channel, retry_delays', ", 'counts', '{}'");
	await visit(`/endpoints/${id}/failures`);
	const failed = (n) => until(`SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = ${id} AND status = 'failed'`, String(n));
	const asked = () => sql(`SELECT string_agg(concat_ws(' ', kind, matched, done), ', ' ORDER BY id) FROM bm_webhook.operation WHERE endpoint_id = ${id} AND kind IN ('recover', 'redeliver')`);
	const fail = async (all) => { sql("SELECT bm_webhook.emit('order.counted', '{}', 'shop', 'counts')"); await failed(all); };
	await button('Count').nth(1).click();
	await button('Send 2').click();
	await seen('Sent in the background: 2 that it never got.');
	await failed(2);
	await button('Count').first().click();
	await button('Send again 2').waitFor();
	await fail(3);
	await button('Send again 2').click();
	await seen('Sent again in the background: 2 that had failed.');
	await until(`SELECT count(*) FROM bm_webhook.operation WHERE endpoint_id = ${id} AND kind = 'redeliver' AND ended_at IS NOT NULL`, '1');
	ok(asked() === 'recover 2 2, redeliver 2 2', 'what was counted is what is done, and said', asked());
}

async function cancels() {
	const id = register('/status/500/cancels', ', channel, retry_delays', ", 'cancels', '{1 h}'");
	const event = sql("SELECT bm_webhook.emit('order.canceled', '{}', 'shop', 'cancels')");
	const status = `SELECT concat_ws(' ', status, attempts) FROM bm_webhook.delivery WHERE event_id = '${event}' AND endpoint_id = ${id}`;
	await until(status, 'pending 1');
	await visit(`/deliveries/${event}/${id}`);
	await button('Cancel…').click();
	await seen('1 delivery waits, and would not be sent.');
	await audit('What would be canceled');
	await button('Keep it').click();
	await button('Cancel…').click();
	await button('Cancel 1 delivery').waitFor();
	const asked = sql(`SELECT count(*) FROM bm_webhook.operation WHERE endpoint_id = ${id} AND kind = 'cancel'`);
	await button('Cancel 1 delivery').click();
	await until(status, 'canceled 1');
	await page.locator('main .status.canceled').first().waitFor();
	ok(asked === '0', 'a delivery is canceled after it was said what that does', asked);
}

// Holds a lock as long as something is done.
async function locked(table, does) {
	const psql = await hold(`BEGIN; LOCK TABLE ${table}`);
	await does();
	await letGo(psql);
}

async function signsInAgain() {
	await fillSignIn('shop');
	await page.getByRole('heading', { level: 1, name: 'Deliveries' }).waitFor();
	return page.url() === `${config.url}/deliveries?status=failed`;
}

async function ends() {
	await visit('/deliveries?status=failed');
	await page.context().clearCookies();
	await button('Refresh').click({ timeout: 3000 }).catch(() => {}); // what is live may have noticed before
	await seen('Your session ended.');
	await audit('A session that ended');
	ok(await signsInAgain(), 'a session that ends says so, and goes on where it was');
	if (config.is_stand_in) return;
	watch.isDeaf = true; // a stream that breaks off
	sql("SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'bm_webhook_console' AND usename = 'shop'");
	await seen('The connection to the database is lost');
	ok(await signsInAgain(), 'so does one whose connection was killed, without a click');
	watch.isDeaf = false;
	await locked('bm_webhook.application', async () => {
		await page.goto(`${config.url}/deliveries?status=failed`);
		await seen('lock timeout');
		await audit('A database that is busy');
	});
	await button('Try again').click();
	await page.getByRole('heading', { level: 1, name: 'Deliveries' }).waitFor();
	ok(true, 'what keeps from finding the session is said, and tried again');
}

async function verifies(isOn) {
	sql(`ALTER SYSTEM SET bm_webhook.verify_endpoints = ${isOn}`);
	sql('SELECT pg_reload_conf()');
	await until('SELECT bm_webhook_internal.verifies()::text', isOn ? 'true' : 'false');
}

async function proves() {
	await verifies(true);
	const id = register('/ok/proves');
	await until(`SELECT verification_error IS NOT NULL FROM bm_webhook.endpoint_state WHERE endpoint_id = ${id}`, 't');
	await visit('/endpoints?state=unverified');
	await seen('it has not proved its URL yet');
	await page.getByRole('link', { name: '/ok/proves' }).click();
	await seen('It has not proved its URL yet');
	await seen('webhook.verification');
	await audit('Endpoint without proof');
	await fetch(`${config.receiver}/_control/behave?name=proves&as=challenge/plain`);
	await button('Ask again now').click();
	await until(`SELECT verified_at IS NOT NULL FROM bm_webhook.endpoint_state WHERE endpoint_id = ${id}`, 't');
	await visit(`/endpoints/${id}`);
	await page.locator('main .status.healthy').waitFor();
	ok(true, 'an endpoint without proof says what to do, and is seen to have done it');
	await verifies(false);
}

async function spans() {
	await visit('/endpoints/new');
	const delays = page.getByLabel('Delays before');
	for (const [typed, said] of [['10 s, 1 min, 00:30:00, 1 day 01:30:00', '4 retries in 26 h.'], ['5m,soon', '2 retries.'], ['90 s', '1 retry in 90 s.'], ['', 'No retries.']]) {
		await delays.fill(typed);
		const hint = await page.locator('#retry_delays-hint').innerText();
		ok(hint === said, `delays of "${typed}": ${said}`, hint);
	}
	await page.getByLabel('Retries').selectOption('Standard');
	await seen('9 retries in 76 h.');
}

// Drawn in the colours of the scheme, and said in words.
async function chart() {
	await page.goto(config.url);
	await page.locator('.plot canvas').waitFor();
	const drawn = () => page.evaluate(() => { const canvas = document.querySelector('.plot canvas'); return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].reduce((sum, byte) => sum + byte, 0); });
	const light = await drawn();
	await page.emulateMedia({ colorScheme: 'dark' });
	await page.waitForFunction((was) => { const canvas = document.querySelector('.plot canvas'); return [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data].reduce((sum, byte) => sum + byte, 0) !== was; }, light);
	await page.emulateMedia({ colorScheme: 'light' });
	ok(light > 0, 'the chart is drawn, in light and in dark');
	ok(/^Last hour: \d+ delivered, \d+ failed attempt/.test(await page.locator('.plot').getAttribute('aria-label')), 'and says what it shows');
	const minute = 60 * Math.floor(Date.now() / 60000) - 120;
	await page.route('**/api/hour?*', (route) => route.fulfill({ json: route.request().url().includes('until') ? { minutes: [[minute - 60, 5, 0, 1]], next: null }
		: { minutes: [[minute, 7, 1, 0]], next: new Date(1000 * minute).toISOString(), p95_ms: 20 } }));
	await page.reload();
	await seen('Last hour: 12 delivered, 1 failed attempt, 1 given up.');
	await page.unroute('**/api/hour?*');
	ok(true, 'of an owner of many endpoints its parts are put together');
}

async function look({ id, delivery }, user) {
	const paths = { Overview: '/', Endpoints: '/endpoints', Endpoint: `/endpoints/${id}`, Settings: `/endpoints/${id}/settings`, Deliveries: '/deliveries', 'Deliveries that failed': '/deliveries?status=failed',
		Delivery: delivery, Event: `/events/${delivery.split('/')[2]}`, Message: '/messages/m-1', Reports: '/reports', 'Event types': '/event-types', Activity: '/activity', System: '/system', 'No such endpoint': '/endpoints/99999', 'No such page': '/nowhere' };
	for (const [name, path] of Object.entries(paths)) {
		await page.goto(config.url + path);
		await page.locator('main h1').waitFor();
		await audit(`${name}, as ${user}`);
		const alerts = await page.locator('main [role=alert]').allInnerTexts();
		const isWanted = name === 'No such endpoint' || name === 'System' && user === 'shop';
		ok(alerts.length > 0 === isWanted, `${name}, as ${user}: ${isWanted ? 'says what is wrong' : 'no error'}`, alerts.join('\n'));
		if (config.screenshots && user === 'operator' && ['Overview', 'Delivery'].includes(name)) {
			await page.screenshot({ path: `${config.screenshots}/console-${name.toLowerCase()}.png` });
		}
	}
}

await check(async () => {
	const places = await works();
	await lists();
	await counts();
	await cancels();
	await spans();
	await proves();
	await ends();
	await look(places, 'shop');
	await page.goto(`${config.url}/deliveries`);
	await page.locator('main h1').waitFor();
	for (let i = 0; i < 20 && await page.getByText('order.live').count() === 0; i++) {
		sql("SELECT bm_webhook.emit('order.live', '{}', 'shop')");
		await new Promise((resolve) => setTimeout(resolve, 3000));
	}
	await page.getByText('order.live').first().waitFor();
	ok(true, 'a new delivery is seen without a click');
	await button('Sign out').click();
	await page.getByLabel('Password').waitFor();
	ok(true, 'signed out');
	await signIn('operator');
	await page.getByRole('heading', { name: 'Dispatchers' }).waitFor();
	ok(true, 'an operator sees the dispatchers');
	await chart();
	const pauses = await page.evaluate("import('/lib.js').then(({ pause }) => [pause(10000, 5), pause(10000, 50), pause(10000, 9000), pause(90000, 9000)])");
	ok(String(pauses) === '10000,100000,180000,180000', 'what takes the server long is asked for less often', pauses);
	await look(places, 'operator');
	await visit('/system');
	await seen(/It goes back \d+ (s|min), to /);
	ok(true, 'and how far the log goes back');
	await page.goto(`${config.url}/endpoints/${places.id}`);
	await page.locator('main h1').waitFor();
	ok(await button('Ping').count() === 0, 'and is offered nothing that he may not do');
	if (config.screenshots) await page.screenshot({ path: `${config.screenshots}/console-endpoint.png` });
	await signIn('bank');
	await page.goto(`${config.url}${places.delivery}`);
	await seen('does not exist');
	ok(true, 'another tenant sees nothing of it');
});
