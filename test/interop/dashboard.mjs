// Checks dashboards by the types that Grafana publishes (@grafana/schema), with the compiler of TypeScript.
//
// stdin [DASHBOARD...]
// stdout [[what is wrong, as the compiler says it...] of each]

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

// Grafana's types of options are those of a panel's own kind; JSON has the values of enums, not their names.
const types = `
import type { Dashboard, DataQuery, Panel } from '@grafana/schema';
import type { FieldConfig, Options } from
  '@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen';
type Json<T> = T extends string ? \`\${T}\` : T extends object ? { [K in keyof T]: Json<T[K]> } : T;
type Prometheus = DataQuery & { expr: string; legendFormat?: string };
type TimeSeries = Omit<Panel<Options, FieldConfig>, 'type' | 'options' | 'targets'>
  & { type: 'timeseries'; options: Options; targets: Prometheus[] };
export const dashboard: Json<Omit<Dashboard, 'panels'> & { panels: TimeSeries[] }> = `;

const options = {
  strict: true,
  noEmit: true,
  skipLibCheck: true,
  types: [],
  target: ts.ScriptTarget.ES2022,
  module: ts.ModuleKind.Node16,
  moduleResolution: ts.ModuleResolutionKind.Node16,
};
const host = ts.createCompilerHost(options);
const dashboards = JSON.parse(readFileSync(0, 'utf8'));
const files = new Map(dashboards.map((dashboard, i) =>
  [fileURLToPath(new URL(`./dashboard_${i}.mts`, import.meta.url)), types + JSON.stringify(dashboard, null, 1)]));
const { fileExists, readFile } = host;

host.fileExists = (name) => files.has(name) || fileExists(name);
host.readFile = (name) => files.get(name) ?? readFile(name);

const program = ts.createProgram([...files.keys()], options, host);
const problems = [...files.keys()].map((name) =>
  ts.getPreEmitDiagnostics(program, program.getSourceFile(name)).map((found) =>
    ts.flattenDiagnosticMessageText(found.messageText, ' ')));

console.log(JSON.stringify(problems));
