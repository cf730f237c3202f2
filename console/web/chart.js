// Stacked bars by time, drawn by uPlot; what a chart shows is also said in words, and as a table.
import uPlot from './vendor/uplot.mjs';
import { html, useEffect, useRef, Table, number, counted, time } from './lib.js';

const HEIGHT = 150;
const whole = [1, 2, 5].flatMap((n) => Array.from({ length: 12 }, (_, i) => n * 10 ** i)).sort((a, b) => a - b);
const two = (n) => String(n).padStart(2, '0');
const clock = (second) => { const at = new Date(1000 * second); return `${two(at.getHours())}:${two(at.getMinutes())}`; };

// A canvas needs colours as they are at last, in light and in dark.
function colour(host, kind) {
	const probe = host.appendChild(Object.assign(document.createElement('i'), { className: kind }));
	const found = getComputedStyle(probe).color;
	probe.remove();
	return found;
}

// The whole is drawn first, and what is not the last of the series over it.
function stacked({ times, series }) {
	const sums = series.map((_, i) => times.map((_, at) => series.slice(0, i + 1).reduce((sum, { values }) => sum + values[at], 0)));
	return [times, ...sums.reverse()];
}

function options(host, shown) {
	const axis = { stroke: () => colour(host, 'quiet'), grid: { stroke: () => colour(host, 'grid'), width: 1 }, ticks: { show: false } };
	const said = (kind) => (u, value, column, at) => at == null ? '–' : number(shown.current.series.find((one) => one.kind === kind).values[at]);
	return { width: Math.max(host.clientWidth, 100), height: HEIGHT, cursor: { drag: { x: false, y: false }, points: { show: false }, y: false },
		scales: { y: { range: (u, low, high) => [0, Math.max(high ?? 0, 1) * 1.05] } },
		axes: [{ ...axis, values: (u, seconds) => seconds.map(clock) }, { ...axis, incrs: whole, size: 60, values: (u, counts) => counts.map(number) }],
		series: [{ label: 'At', value: (u, second) => second == null ? '–' : time(1000 * second) },
			...[...shown.current.series].reverse().map(({ kind, name }) => ({ label: name, value: said(kind), width: 0, points: { show: false },
				fill: () => colour(host, kind), stroke: () => colour(host, kind), paths: uPlot.paths.bars({ size: [0.8, 40] }) }))] };
}

// series: [{ name, kind (a class that has its colour), values }], the lowest first; times in seconds
export function Chart({ label, caption, times, series }) {
	const host = useRef();
	const chart = useRef();
	const shown = useRef();
	shown.current = { times, series };
	useEffect(() => {
		const at = host.current;
		const u = chart.current = new uPlot(options(at, shown), stacked(shown.current), at);
		const size = new ResizeObserver(() => u.setSize({ width: Math.max(at.clientWidth, 100), height: HEIGHT }));
		const scheme = matchMedia('(prefers-color-scheme: dark)');
		const redraw = () => u.redraw();
		size.observe(at);
		scheme.addEventListener('change', redraw);
		return () => { size.disconnect(); scheme.removeEventListener('change', redraw); u.destroy(); };
	}, []);
	useEffect(() => { chart.current.setData(stacked(shown.current)); }, [JSON.stringify([times, series])]);
	const rows = times.map((second, at) => [second, ...series.map(({ values }) => values[at])]).filter(([, ...counts]) => counts.some((count) => count > 0));
	return html`<figure class="chart"><div class="plot" role="img" aria-label=${label} ref=${host}></div>
		<figcaption class="quiet">${caption ?? label}${rows.length === 0 ? null : html`<details><summary>Table</summary>
			<${Table} caption="By time" head=${['At', ...series.map(({ name }) => name)]}>${rows.map(([second, ...counts]) => html`<tr key=${second}><td>${time(1000 * second)}</td>
				${counts.map((count) => html`<td>${number(count)}</td>`)}</tr>`)}</${Table}></details>`}</figcaption></figure>`;
}

// What was sent in the last hour, by minute.
export function Hour({ hour }) {
	const { minutes, is_partial } = hour;
	const label = `Last hour: ${counted(hour.delivered, is_partial)} delivered, ${counted(hour.failed_attempts, is_partial)} failed ${hour.failed_attempts === 1 ? 'attempt' : 'attempts'}, ${counted(hour.given_up, is_partial)} given up.`;
	const end = Math.floor(Date.now() / 60000);
	const times = Array.from({ length: 60 }, (_, i) => 60 * (end - 60 + i));
	const by = new Map(minutes.map(([second, ...counts]) => [second, counts]));
	const values = (i) => times.map((second) => by.get(second)?.[i] ?? 0);
	return html`<${Chart} label=${label} times=${times} series=${[{ name: 'Delivered', kind: 'delivered', values: values(0) }, { name: 'Failed attempts', kind: 'failed', values: values(1) }]} />`;
}
