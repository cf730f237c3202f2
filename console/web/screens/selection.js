// Deliveries that are selected, each by a box or all that match the filters, and what is done with them: counted first, then asked for.
import { html, useState, useEffect, useRef, Action, get, post, number } from '../lib.js';

const keyOf = (row) => `${row.event} ${row.endpoint}`;
const counted = (n) => `${number(n)} ${n === 1 ? 'delivery' : 'deliveries'}`;

// Of a list that is asked for by these filters, on this page: with another nothing is selected.
export function useSelection(of) {
	const nothing = { of, keys: [], matching: null };
	const [state, set] = useState(nothing);
	const change = (next) => set((was) => ({ ...nothing, keys: next(was.of === of ? was.keys : []) }));
	const add = (keys) => change((before) => [...new Set([...before, ...keys])]);
	const remove = (keys) => change((before) => before.filter((key) => !keys.includes(key)));
	return { ...(state.of === of ? state : nothing), add, remove, clear: () => set(nothing), match: (matching) => set({ ...nothing, matching }) };
}

// One box for these rows: of one it is that row's, of the page the header's.
export function Box({ selection, rows, label }) {
	const keys = rows.map(keyOf);
	const n = keys.filter((key) => selection.keys.includes(key)).length;
	const isOn = keys.length > 0 && (Boolean(selection.matching) || n === keys.length);
	return html`<input type="checkbox" aria-label=${label} checked=${isOn} indeterminate=${!isOn && n > 0} disabled=${!keys.length || Boolean(selection.matching)}
		onChange=${(event) => (event.target.checked ? selection.add : selection.remove)(keys)} />`;
}

const verbs = {
	redeliver: { ask: 'Send again…', does: 'Send again', kind: 'main', done: (n) => n === 1 ? 'is sent again' : 'are sent again', not: (n) => n === 1 ? 'is not sent again' : 'are not sent again' },
	cancel: { ask: 'Cancel…', does: 'Cancel', kind: 'danger', done: (n) => n === 1 ? 'is canceled' : 'are canceled', not: (n) => n === 1 ? 'is not canceled' : 'are not canceled' },
};
const say = (name, { matched, problems }, where = '') => [matched || !problems.length ? `${counted(matched)} ${verbs[name].done(matched)}${where}.` : '',
	...problems.map(({ n, problem }) => `${counted(n)} ${verbs[name].not(n)}: ${problem}.`)].join(' ').trim();

function selected({ keys, matching }, rows) {
	if (matching?.is_more) return `The newest ${number(matching.matched)} of more than ${number(matching.matched)} that match are selected.`;
	if (matching) return matching.matched === 1 ? 'The one that matches is selected.' : `All ${number(matching.matched)} that match are selected.`;
	const seen = rows.map(keyOf);
	const away = keys.filter((key) => !seen.includes(key)).length;
	return `${number(keys.length)} selected${away ? `, ${number(away)} of them no longer on this page` : ''}.`;
}

// What it would do, and the button that does it: no more than was counted.
function Question({ name, answer, does, done, leave }) {
	const box = useRef();
	const { kind, does: verb } = verbs[name];
	useEffect(() => box.current.focus(), []);
	return html`<div class=${kind === 'danger' ? 'trouble' : 'notice'} role="group" aria-label=${verb} tabindex="-1" ref=${box}><p>${say(name, answer)}</p><div class="buttons">
		${answer.matched ? html`<${Action} kind=${kind} does=${does} then=${done}>${verb} ${counted(answer.matched)}</${Action}>` : null}
		<button type="button" onClick=${leave}>${answer.matched ? 'Leave them' : 'Close'}</button></div></div>`;
}

// filter: what the list was asked for; then: after something was done.
export function SelectionBar({ selection, filter, rows, hasMore, then }) {
	const [question, ask] = useState(null);
	const [said, setSaid] = useState('');
	const status = useRef();
	const { keys, matching } = selection;
	const what = matching ? { matching: { ...filter, since: matching.since, until: matching.until } } : { deliveries: keys.map((key) => key.split(' ')) };
	const isOf = JSON.stringify(what);
	const isEmpty = !matching?.matched && !keys.length;
	const done = (answer) => {
		setSaid(say(question.name, answer, ' in the background'));
		selection.clear();
		status.current.focus();
		then();
	};
	return html`<div class="selection"><div class="buttons">
			${Object.entries(verbs).map(([name, verb]) => html`<${Action} isOff=${isEmpty} does=${() => post(name, { ...what, dry_run: true })} then=${(answer) => { setSaid(''); ask({ name, answer, isOf }); }}>${verb.ask}</${Action}>`)}
			${hasMore && !matching ? html`<${Action} does=${() => get('count_deliveries', filter)} then=${(answer) => { setSaid(''); selection.match(answer); }}>Select all that match</${Action}>` : null}
			${keys.length || matching ? html`<button type="button" onClick=${selection.clear}>Select none</button>` : null}
			<span role="status" tabindex="-1" ref=${status}>${keys.length || matching ? (matching && !matching.matched ? 'None match that you may change.' : selected(selection, rows)) : said}</span></div>
		${question?.isOf === isOf && !isEmpty ? html`<${Question} ...${question} key=${isOf + question.name} done=${done} leave=${() => ask(null)} does=${() => post(question.name, { ...what, max_rows: question.answer.matched })} />` : null}</div>`;
}
