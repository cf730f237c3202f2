// Deliveries that are selected, by their boxes and by what matches, and what is done with them: selects.mjs CONFIG (page.mjs), which also
// has receiver. operator sees all and owns the application bank; watcher sees all and owns nothing.
import { config, sql, until, ok, page, signIn, button, seen, visit, register, audit, check } from './page.mjs';

const emit = (application, name, n = 1) => sql(`SELECT count(bm_webhook.emit('order.acted', '{}', '${application}', '${name}')) FROM generate_series(1, ${n})`);
const status = (id, is, n) => until(`SELECT count(*) FROM bm_webhook.delivery WHERE endpoint_id = ${id} AND status = '${is}' AND attempts > 0`, String(n));
const behave = (name, as) => fetch(`${config.receiver}/_control/behave?name=${name}&as=${as}/${name}`);
const boxes = () => page.getByRole('checkbox', { name: /^Select order/ });
const header = () => page.getByRole('checkbox', { name: 'Select all on this page' });
const says = (text) => page.locator('.selection [role=status]').getByText(text, { exact: true }).waitFor();
const shows = (n) => page.waitForFunction((wanted) => document.querySelectorAll('[aria-label="Deliveries"] tbody tr').length === wanted, n);

async function rows() {
	const id = register('shop', 'rows', '/status/500');
	emit('shop', 'rows', 3);
	await status(id, 'failed', 3);
	await visit(`/deliveries?endpoint=${id}`);
	await shows(3);
	ok(await button('Send again…').isDisabled() && await button('Cancel…').isDisabled(), 'without a selection nothing can be done');
	await boxes().nth(0).focus();
	await page.keyboard.press('Space');
	await says('1 selected.');
	await boxes().nth(1).check();
	await says('2 selected.');
	ok(await header().evaluate((box) => box.indeterminate), 'rows are selected from the keyboard, and the count is said');
	await audit('Deliveries that are selected');
	await page.mouse.move(0, 0);
	await button('Refresh').focus();
	emit('shop', 'rows');
	await shows(4);
	await says('2 selected.');
	ok(!await boxes().nth(0).isChecked() && await boxes().nth(1).isChecked() && await boxes().nth(2).isChecked(), 'a new row at the top leaves the selection as it is');
	await page.getByRole('combobox', { name: 'Status' }).selectOption('failed');
	await button('Filter').click();
	await page.waitForURL(/status=failed/);
	await shows(4);
	ok(await page.locator('tbody input:checked').count() === 0 && await button('Send again…').isDisabled(), 'other filters drop it');
	await header().check();
	await says('4 selected.');
	await button('Select none').click();
	ok(!await header().isChecked(), 'the page is selected, and none');
	await boxes().nth(0).check();
	await boxes().nth(2).check();
	await behave('rows', 'ok');
	await button('Send again…').click();
	await seen('2 deliveries are sent again.');
	ok(sql(`SELECT count(*) FROM bm_webhook.operation WHERE endpoint_id = ${id} AND kind = 'redeliver'`) === '0', 'first it is said what would be done');
	await button('Send again 2 deliveries').click();
	await says('2 deliveries are sent again in the background.');
	await status(id, 'delivered', 2);
	await shows(2);
	ok(sql(`SELECT concat_ws(' ', asked_by, matched, cardinality(events)) FROM bm_webhook.operation WHERE endpoint_id = ${id} AND kind = 'redeliver'`) === 'shop 2 2', 'what is selected is sent again');
}

async function cancels() {
	const id = register('shop', 'cancels', '/status/500', '{1 h}');
	emit('shop', 'cancels', 2);
	await status(id, 'pending', 2);
	await visit(`/endpoints/${id}`);
	await shows(2);
	await header().check();
	const event = sql(`SELECT event_id FROM bm_webhook.delivery WHERE endpoint_id = ${id} ORDER BY 1 LIMIT 1`);
	sql(`SELECT bm_webhook.cancel('${event}')`);
	await status(id, 'canceled', 1);
	await button('Cancel…').click();
	await seen('1 delivery is canceled. 1 delivery is not canceled: it was canceled.');
	await audit('What would be canceled');
	await button('Leave them').click();
	await button('Cancel…').click();
	await button('Cancel 1 delivery').click();
	await says('1 delivery is canceled in the background. 1 delivery is not canceled: it was canceled.');
	await status(id, 'canceled', 2);
	ok(true, 'what waits is canceled, and said of the others why not');
}

async function matches() {
	const id = register('shop', 'matches', '/status/500');
	emit('shop', 'matches', 60);
	await status(id, 'failed', 60);
	await visit(`/deliveries?endpoint=${id}&status=failed`);
	await shows(50);
	await button('Select all that match').click();
	await says('All 60 that match are selected.');
	ok(await boxes().nth(0).isChecked() && await boxes().nth(0).isDisabled(), 'all that match are counted and selected');
	await audit('All that match');
	emit('shop', 'matches');
	await status(id, 'failed', 61);
	await behave('matches', 'ok');
	await button('Send again…').click();
	await button('Send again 60 deliveries').click();
	await says('60 deliveries are sent again in the background.');
	await status(id, 'delivered', 60);
	await status(id, 'failed', 1);
	ok(true, 'and no more than these are sent again');
}

async function operator() {
	const id = register('bank', 'operators', '/status/500');
	emit('bank', 'operators');
	await status(id, 'failed', 1);
	await signIn('operator');
	await visit('/deliveries');
	await shows(50);
	ok(await boxes().count() === 1, 'an operator sees all, and selects what is his own');
	await header().check();
	await behave('operators', 'ok');
	await button('Send again…').click();
	await button('Send again 1 delivery').click();
	await says('1 delivery is sent again in the background.');
	await status(id, 'delivered', 1);
	ok(true, 'and sends it again');
	sql(`INSERT INTO bm_webhook.event (id, xid, type, application, occurred_at, created_at, data)
		SELECT bm_webhook.uuid_floor(now() - interval '1 min' - n * interval '20 ms'), '3', 'order.bulk', 'bank', now(), now(), '{}' FROM generate_series(1, 110000) n`);
	sql(`INSERT INTO bm_webhook.delivery (event_id, endpoint_id, status, attempts) SELECT id, ${id}, 'delivered', 1 FROM bm_webhook.event WHERE type = 'order.bulk'`);
	await visit('/deliveries');
	await shows(50);
	await button('Select all that match').click();
	await says('The newest 10,000 of more than 10,000 that match are selected.');
	ok(true, 'more than can be done at a time');
	await visit('/deliveries?type=none.*');
	await button('Select all that match').click();
	await seen('more than 100000 deliveries would have to be read');
	await seen('Choose a shorter period');
	await audit('What takes too long');
	ok(true, 'what would take too long is refused, and it is said what to do');
}

async function watcher() {
	await signIn('watcher');
	await visit('/deliveries');
	await shows(50);
	ok(await page.getByRole('checkbox').count() === 0 && await page.locator('.selection').count() === 0, 'who owns nothing is offered nothing');
}

await check(async () => {
	await signIn('shop');
	for (const part of [rows, cancels, matches, operator, watcher]) await part();
});
