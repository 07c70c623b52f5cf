// `node replica.mjs <port>`: answers as a model server does, and as cheaply as can be, so that what is before it is measured.
import { createServer } from 'node:net';

const [port] = process.argv.slice(2);
const body = JSON.stringify({
  model_name: 'digits',
  outputs: [{ name: 'scores', shape: [1, 10], datatype: 'FP32', data: Array(10).fill(0.1) }],
});
const answer = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\nDate: Sat, 28 Nov 2026 12:00:00 GMT\r\nConnection: keep-alive\r\n\r\n${body}`,
);

const server = createServer({ noDelay: true }, (socket) => {
  let held = '';
  socket.on('data', (chunk) => {
    held += chunk.latin1Slice();
    for (;;) {
      const end = held.indexOf('\r\n\r\n');
      if (end < 0) return;
      const length = /content-length: *(\d+)/i.exec(held.slice(0, end))?.[1] ?? 0;
      const whole = end + 4 + Number(length);
      if (held.length < whole) return;
      held = held.slice(whole);
      socket.write(answer);
    }
  });
  socket.on('error', () => socket.destroy());
});
server.listen(Number(port), '127.0.0.1', () => process.stdout.write('{"ready":true}\n'));
