// What a pod serves that runs Node: HTTP and WebSocket handshakes, with the times that
// Node has by itself (it closes a connection on which nothing was asked for 5 s).
import http from "node:http";
import { createHash } from "node:crypto";

let asked = 0;
const server = http.createServer((request, answer) => {
  const hash = createHash("sha256");
  let length = 0;
  request.on("data", (piece) => {
    hash.update(piece);
    length += piece.length;
  });
  request.on("end", () => {
    asked += 1;
    answer.setHeader("Content-Type", "application/json");
    answer.end(JSON.stringify({ asked, path: request.url, length, sha256: hash.digest("hex") }));
  });
});
server.on("upgrade", (request, socket) => {
  const key = request.headers["sec-websocket-key"];
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`,
  );
  // Frames go back as they are; a client has to take that they are masked.
  socket.pipe(socket);
});
server.listen(Number(process.argv[2]), "0.0.0.0", () => console.log("listening"));
