// The first two minutes of somebody who has read what "make console" has printed: walk.mjs CONFIG (page.mjs), which has printed.
import { config, ok, note, open, page, button, check } from './page.mjs';

const steps = [];
const began = Date.now();

// What is typed stands in what was printed; null if it does not.
const printed = (pattern) => config.printed.match(pattern)?.[1] ?? null;

async function go(address) {
	if (!address) throw new Error(`no address in:\n${config.printed}`);
	await page.goto(address);
	steps.push(`open ${address}`);
}

async function type(label, text) {
	if (!text) throw new Error(`nothing to type for "${label}" in:\n${config.printed}`);
	const field = page.getByLabel(label, { exact: true });
	await field.waitFor();
	await field.fill(text);
	steps.push(`type "${label}"`);
}

async function press(what, name) {
	await what.waitFor();
	await what.click();
	steps.push(`press "${name}"`);
}

const link = (name) => page.getByRole('link', { name, exact: true });

async function signsIn() {
	await go(printed(/first webhook, at (\S+)/));
	await type('User', printed(/Sign in as (\w+),/));
	await type('Password', printed(/with the password (\w+)/));
	await press(button('Sign in'), 'Sign in');
}

async function registers() {
	const name = printed(/Press "(.*?)"/);
	await page.getByText('No endpoint yet.').waitFor();
	await press(link(name), name);
	await type('URL', printed(/this URL: (\S+)/));
	await press(page.locator('main form button.main'), 'Register');
}

// Returns the id of the first event that the page shows, with nothing done for it.
async function sees() {
	const row = page.getByRole('region', { name: 'Deliveries' }).getByRole('row').filter({ hasText: 'delivered' }).last();
	await page.getByText('What is sent from now on appears here by itself.').or(row).first().waitFor();
	await row.waitFor();
	const seconds = ((Date.now() - began) / 1000).toFixed(1);
	note(`${seconds} s in a browser that neither reads nor thinks, in ${steps.length} steps: ${steps.join(', ')}`);
	ok((await row.innerText()).includes('ticket.sold'), 'the first event is on the page');
	const path = await row.getByRole('link').first().getAttribute('href');
	await press(page.locator(`a[href="${path}"]`), 'the row');
	await page.getByRole('heading', { level: 1, name: 'ticket.sold' }).waitFor();
	await page.getByText('"n":').waitFor();
	ok(true, 'and a click shows what was sent');
	return path.split('/')[2];
}

await check(async () => {
	await open();
	await signsIn();
	await registers();
	ok(true, 'what was printed, and what the pages say, is enough to register an endpoint');
	const event = await sees();
	await go(printed(/the receiver got: (\S+)/));
	ok((await page.locator('body').innerText()).includes(event), 'and the receiver shows that it got it');
	ok(steps.length === 9, 'that takes nine steps', steps.join('\n'));
});
