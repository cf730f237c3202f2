// sample.mjs - prints one request that a receiver has kept, as it came over the wire, but for line
// breaks: node sample.mjs RECEIVER-URL NAME
const [base, name] = process.argv.slice(2);
const requests = await (await fetch(`${base}/_control/requests?name=${name}`)).json();
const { method, path, headers, body } = requests.find((r) => JSON.parse(r.body).type === 'message.received') ?? requests[0];

console.log(`${method} ${path} HTTP/1.1`);
for (const [header, value] of Object.entries(headers)) console.log(`${header}: ${value}`);
console.log();
console.log(body.replace(/.{1,94}(, ?|$)|.{94}/g, '$&\n').trimEnd());
