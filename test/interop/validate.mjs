// Validates bodies with the JSON Schemas of their types (draft 2020-12).
//
// stdin {"schemas": {TYPE: SCHEMA}, "bodies": [TEXT...]}
// stdout {"types": {TYPE: how many}, "errors": [what is wrong, in which body]}

import { readFileSync } from 'node:fs';
import Ajv2020 from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';

const { schemas, bodies } = JSON.parse(readFileSync(0, 'utf8'));
const ajv = addFormats(new Ajv2020({ allErrors: true, strict: true, allowUnionTypes: true }));
const errors = [];
const types = {};
const validators = {};

for (const [type, schema] of Object.entries(schemas)) {
  try {
    validators[type] = ajv.compile(schema);
  } catch (error) {
    errors.push(`the schema of ${type}: ${error.message}`);
  }
}

for (const body of bodies) {
  const event = JSON.parse(body);
  types[event.type] = (types[event.type] ?? 0) + 1;
  const validate = validators[event.type];
  if (!validate) errors.push(`no schema for ${event.type}: ${body}`);
  else if (!validate(event)) errors.push(`${ajv.errorsText(validate.errors)}: ${body}`);
}

console.log(JSON.stringify({ types, errors }));
