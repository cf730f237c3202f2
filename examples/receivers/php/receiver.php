<?php
// A receiver of webhooks in PHP, here with its built-in server:
//
//   WEBHOOK_SECRET=whsec_... INBOX=inbox php -S 127.0.0.1:8080 receiver.php
//
// 200: the answer to a challenge, which proves that this URL wants webhooks.
// 204: taken, or taken before. 401: not from the sender, or too old. Anything
// else makes the sender try again. The folder INBOX gets one file for each event.

declare(strict_types=1);

const TOLERANCE_S = 5 * 60;

// $body: the bytes as they came; made again from parsed JSON they have another signature.
function is_verified(string $id, string $timestamp, string $signatures, string $body): bool
{
    $key = base64_decode(substr((string) getenv('WEBHOOK_SECRET'), strlen('whsec_')), true);
    if ($key === false || strlen($key) < 24) {
        throw new RuntimeException('WEBHOOK_SECRET is not a secret');
    }
    if (!preg_match('/^[A-Za-z0-9_-]{1,64}$/D', $id) || !preg_match('/^[0-9]{1,12}$/D', $timestamp)) {
        return false;
    }
    if (abs(time() - (int) $timestamp) > TOLERANCE_S) {
        return false;
    }
    $expected = 'v1,' . base64_encode(hash_hmac('sha256', "$id.$timestamp.$body", $key, true));
    // Several while the sender moves from one secret to the next.
    foreach (explode(' ', $signatures) as $signature) {
        if (hash_equals($expected, $signature)) {
            return true;
        }
    }
    return false;
}

// False when this event is here already: link() makes the file as a whole, and only once.
function keep(string $inbox, string $id, string $body): bool
{
    $file = "$inbox/$id.json";
    $temporary = tempnam($inbox, '.');
    try {
        if (file_put_contents($temporary, $body) !== strlen($body)) {
            throw new RuntimeException("could not write $temporary");
        }
        if (@link($temporary, $file)) {
            return true;
        }
        if (!file_exists($file)) {
            throw new RuntimeException("could not make $file");
        }
        return false;
    } finally {
        unlink($temporary);
    }
}

function receive(): int
{
    if ($_SERVER['REQUEST_METHOD'] !== 'POST') {
        return 405;
    }
    $body = file_get_contents('php://input');
    $id = $_SERVER['HTTP_WEBHOOK_ID'] ?? '';
    if (!is_verified($id, $_SERVER['HTTP_WEBHOOK_TIMESTAMP'] ?? '', $_SERVER['HTTP_WEBHOOK_SIGNATURE'] ?? '', $body)) {
        return 401;
    }
    $event = json_decode($body);
    if ($event->type === 'webhook.verification') {
        echo $event->data->challenge;
        return 200;
    }
    $inbox = getenv('INBOX') ?: 'inbox';
    if (!is_dir($inbox) && !@mkdir($inbox) && !is_dir($inbox)) {
        throw new RuntimeException("could not make $inbox");
    }
    if (keep($inbox, $id, $body)) {
        error_log('new event ' . $event->type); // do the work here, or read the inbox later
    }
    return 204;
}

try {
    http_response_code(receive());
} catch (Throwable $error) {
    error_log((string) $error);
    http_response_code(500);
}
