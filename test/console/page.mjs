// A page in a real browser, for the scripts here: SCRIPT CONFIG, a JSON object with at least url, and database (environment of psql)
// for those who ask it. Says each check as a line of TAP, "note: ..." for what is no check, and "missing ..." when there is no browser.
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

export const config = JSON.parse(process.argv[2]);
const browserPath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);
if (!browserPath) {
	console.log('missing chromium');
	process.exit(0);
}
const { chromium } = await import('playwright-core');
export const sql = (text) => execFileSync('psql', ['-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', text], { env: { ...process.env, ...config.database } }).toString().trim();

// A session of psql that has done this, and stays until it is let go.
export async function hold(statement) {
	const psql = spawn('psql', ['-XAtq'], { env: { ...process.env, ...config.database }, stdio: ['pipe', 'pipe', 'inherit'] });
	psql.stdin.write(`${statement};\n\\echo done\n`);
	await new Promise((resolve) => psql.stdout.on('data', (text) => String(text).includes('done') && resolve()));
	return psql;
}

export async function letGo(psql) {
	psql.stdin.end();
	await new Promise((resolve) => psql.once('exit', resolve));
}

// Until the query says so.
export async function until(query, wanted) {
	for (let i = 0, found; (found = sql(query)) !== wanted; i++) {
		if (i > 200) throw new Error(`${query}: ${found} and not ${wanted}`);
		await new Promise((resolve) => setTimeout(resolve, 200));
	}
}

let checks = 0;
export const ok = (isGood, what, more = '') => {
	console.log(`${isGood ? 'ok' : 'not ok'} ${++checks} - ${what}`);
	if (!isGood && more) console.log(String(more).replace(/^/gm, '# '));
};

export const note = (text) => console.log(`note: ${text}`);

const browser = await chromium.launch({ executablePath: browserPath, args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'] });
export const troubles = [];
export const watch = { isDeaf: false };
export let page;

export async function open() {
	const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
	page = await context.newPage();
	page.setDefaultTimeout(30000);
	page.on('console', (message) => { if (message.type() === 'error' && !watch.isDeaf && !/status of (401|403|404|409|422)/.test(message.text())) troubles.push(message.text()); });
	page.on('pageerror', (error) => troubles.push(String(error)));
}

export async function fillSignIn(user, password = 'secret') {
	await page.getByLabel('User').fill(user);
	await page.getByLabel('Password').fill(password);
	await page.getByRole('button', { name: 'Sign in' }).click();
}

export async function signIn(user) {
	await open();
	await page.goto(config.url);
	await fillSignIn(user);
	await page.getByRole('heading', { level: 1, name: 'Overview' }).waitFor();
}

export const button = (name) => page.getByRole('button', { name, exact: true });
export const seen = (text) => page.getByText(text).first().waitFor();
export const visit = async (path) => { await page.goto(config.url + path); await page.locator('main h1').first().waitFor(); };

// An endpoint of its own for each name, which gets the events of its channel.
export function register(application, name, path, delays = '{}') {
	return sql(`INSERT INTO bm_webhook.endpoint (url, application, channel, event_types, retry_delays)
		VALUES ('${config.receiver}${path}/${name}', '${application}', '${name}', '{order.*}', '${delays}') RETURNING id`);
}

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

// Light and dark by axe, and as wide as a phone.
export async function audit(what) {
	await page.waitForFunction(() => !document.querySelector('[aria-busy]'));
	watch.isDeaf = true;
	for (const colorScheme of ['light', 'dark']) {
		await page.emulateMedia({ colorScheme });
		if (!await page.evaluate('typeof axe === "object"')) await page.evaluate(axe);
		const { violations } = await page.evaluate("axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })");
		ok(violations.length === 0, `${what}: accessible, ${colorScheme}`, violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html.slice(0, 200)).join(' | ')}`).join('\n'));
	}
	await page.emulateMedia({ colorScheme: 'light' });
	watch.isDeaf = false;
	await page.setViewportSize({ width: 390, height: 800 });
	const width = await page.evaluate('document.documentElement.scrollWidth');
	ok(width <= 390, `${what}: fits a phone`, width);
	const tallest = await page.evaluate('Math.max(0, ...[...document.querySelectorAll(".scroll tr")].map((row) => row.offsetHeight))');
	ok(tallest <= 250, `${what}: its rows can be read there`, tallest);
	await page.setViewportSize({ width: 1280, height: 900 });
}

// Runs the checks, and says of what stops them, and of errors that nobody expected, as checks too.
export async function check(works) {
	try {
		await works();
		ok(troubles.length === 0, 'no error and no violation of the policy', troubles.join('\n'));
	} catch (error) {
		ok(false, `the browser: ${error.message}`, page ? await page.locator('body').innerText().catch(() => '') : '');
		console.log(troubles.join('\n').replace(/^/gm, '# '));
	}
	console.log(`1..${checks}`);
	await browser.close();
}
