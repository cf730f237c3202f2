// What a browser shows when the connection to the database is gone: ended.mjs CONFIG (page.mjs), which also has
// restart, a command that restarts the server.
import { execSync } from 'node:child_process';
import { config, sql, hold, letGo, until, ok, watch, page, fillSignIn, signIn, button, seen, visit, check } from './page.mjs';

const sessions = "FROM pg_stat_activity WHERE usename = 'shop'";
const most = sql("SELECT current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"); // that are no superuser's
const free = `SELECT count(*) < ${most} FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()`;
const again = async (what, reason) => {
	await seen(reason);
	await page.getByLabel('Password').waitFor();
	ok(true, `${what}: the page says why, and asks to sign in`);
	await fillSignIn('shop');
	await page.getByRole('heading', { level: 1, name: 'Endpoints' }).waitFor();
	ok(new URL(page.url()).pathname === '/endpoints', `${what}: signed in again, it is where it was`, page.url());
};

const kill = () => sql(`SELECT pg_terminate_backend(pid, 60000) ${sessions}`);
const field = (name) => page.getByLabel(name, { exact: true });

// A form is open when the session ends.
async function forms() {
	await visit('/endpoints/new');
	await page.getByText('More', { exact: true }).click();
	await field('URL').fill('http://127.0.0.1:9999/typed');
	await page.getByLabel('* every event').uncheck();
	await page.getByLabel('message.*', { exact: true }).check();
	await page.getByLabel('Retries').selectOption('Quick');
	await field('Description').fill('as typed');
	await field('Headers').fill('{"authorization": "hush"}');
	kill();
	await button('Register').click();
	await seen('and to what you had typed');
	ok(!(await page.content()).includes('as typed'), 'a form is not shown without a session');
	await fillSignIn('shop');
	await seen('What you had typed is here again, and not saved yet. Type the headers again');
	const has = async (name, value) => ok(await field(name).inputValue() === value, `who signs in again is at the form, and has the field ${name} as it was`, await field(name).inputValue());
	for (const [name, value] of Object.entries({ URL: 'http://127.0.0.1:9999/typed', Description: 'as typed', Retries: 'Quick', Headers: '' })) await has(name, value);
	ok(await page.evaluate('sessionStorage.length + localStorage.length') === 0, 'nothing is stored in the browser');
	await button('Register').click();
	await button('Ping').waitFor();
	const id = page.url().match(/endpoints\/(\d+)/)[1];
	ok(sql(`SELECT concat_ws(' ', description, event_types) FROM bm_webhook.endpoint WHERE id = ${id}`) === 'as typed {message.*}', 'and saves it');

	await visit(`/endpoints/${id}/settings`);
	await field('URL').fill('http://127.0.0.1:9999/changed');
	kill();
	await button('Save').click();
	await page.getByLabel('Password').waitFor();
	await fillSignIn('shop');
	await seen('What you had typed is here again, and not saved yet.');
	await has('URL', 'http://127.0.0.1:9999/changed');

	await visit('/endpoints/new');
	await field('URL').fill('http://127.0.0.1:9999/of-shop');
	kill();
	await button('Register').click();
	await page.getByLabel('Password').waitFor();
	await fillSignIn('bank');
	await has('URL', '');
	await button('Sign out').click();
	await page.getByLabel('Password').waitFor();
	await fillSignIn('shop');
	await button('Sign out').waitFor();
	await page.getByRole('link', { name: 'Endpoints', exact: true }).click();
	await page.getByRole('link', { name: 'New endpoint' }).click();
	await has('URL', '');
}

await check(async () => {
	watch.isDeaf = true; // 503, and streams that break off
	await signIn('shop');
	await visit('/endpoints');
	sql(`SELECT pg_terminate_backend(pid) ${sessions}`);
	await page.getByRole('link', { name: 'Deliveries' }).first().click({ timeout: 3000 }).catch(() => {}); // what is live may have noticed before
	await page.getByLabel('Password').waitFor();
	await page.goto(`${config.url}/endpoints`);
	await fillSignIn('shop');
	await page.getByRole('heading', { level: 1, name: 'Endpoints' }).waitFor();
	ok(true, 'an idle backend is killed: the next click leads to signing in');

	sql(`ALTER FUNCTION bm_webhook.console_endpoints RENAME TO answers;
		CREATE FUNCTION bm_webhook.console_endpoints(jsonb) RETURNS jsonb LANGUAGE plpgsql SECURITY DEFINER
			AS 'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(600); END'`);
	await page.goto(`${config.url}/endpoints`);
	await page.getByLabel('Password').waitFor();
	sql('DROP FUNCTION bm_webhook.console_endpoints; ALTER FUNCTION bm_webhook.answers RENAME TO console_endpoints');
	await again('a backend is killed during a question', /terminat|connection/i);

	await forms();

	await visit('/endpoints');
	execSync(config.restart, { stdio: 'ignore' });
	await page.reload();
	await again('the server was restarted', /terminat|connection/i);

	const others = [];
	await button('Sign out').click();
	await page.getByLabel('Password').waitFor();
	while (others.length < most) others.push(await hold('SELECT'));
	await fillSignIn('shop');
	await seen('the server has no connection left: try again later');
	ok(true, 'a full connection table is called that');
	await Promise.all(others.map(letGo));
	await until(free, 't');
	await fillSignIn('shop');
	await page.getByRole('heading', { level: 1 }).first().waitFor();
	await button('Sign out').waitFor();
	ok(true, 'and when there are some again, signing in works');
});
