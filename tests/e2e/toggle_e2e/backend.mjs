// What a pod serves that runs Node: HTTP with the times that Node has by itself. It closes a
// connection on which nothing was asked for 5 s.
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
server.listen(Number(process.argv[2]), "0.0.0.0", () => console.log("listening"));
