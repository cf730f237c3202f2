// How a receiver verifies a request: the libraries of Standard Webhooks.
export const snippets = [
	['JavaScript', `import { Webhook } from 'standardwebhooks';

// body: the bytes as they came, before anything parses them
const event = new Webhook(process.env.WEBHOOK_SECRET).verify(body, request.headers);`],
	['Python', `from standardwebhooks import Webhook

# body: the bytes as they came
event = Webhook(os.environ["WEBHOOK_SECRET"]).verify(body, request.headers)`],
	['Go', `import standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"

wh, err := standardwebhooks.NewWebhook(os.Getenv("WEBHOOK_SECRET"))
err = wh.Verify(body, request.Header) // nil: it is genuine`],
	['PHP', `use StandardWebhooks\\Webhook;

$event = (new Webhook(getenv('WEBHOOK_SECRET')))->verify(file_get_contents('php://input'), getallheaders());`],
];
