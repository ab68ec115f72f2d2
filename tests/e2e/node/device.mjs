// npm's mqtt on one errand, or refused: what it says of it, as one line of JSON. The arguments are one JSON object.
import { readFileSync } from "node:fs";
import mqtt from "mqtt";

const errand = JSON.parse(process.argv[2]);
const told = { granted: [], heard: [], denial: "" };
const client = mqtt.connect({
  protocol: "mqtts",
  protocolVersion: errand.version,
  host: errand.host,
  port: errand.port,
  ca: readFileSync(errand.root),
  cert: readFileSync(errand.chain),
  key: readFileSync(errand.key),
  clientId: errand.clientId,
  reconnectPeriod: 0,
});

let over = false;
function finish(denial) {
  if (over) return;
  over = true;
  told.denial = denial;
  console.log(JSON.stringify(told));
  client.end(true);
}

client.on("error", (error) => finish(`error ${error.code}: ${error.message}`));
client.on("close", () => finish("closed"));
client.on("message", (topic, payload) => {
  told.heard.push(payload.toString());
  client.publish(errand.forbidden, "forged", { qos: 1 }, (error) => {
    if (error) finish(`publish ${error.code}: ${error.message}`);
  });
});
client.on("connect", () => {
  client.subscribe([errand.topic, "#"], { qos: 1 }, (error, granted, packet) => {
    told.granted = packet.granted;
    client.publish(errand.topic, errand.nonce, { qos: 1 });
  });
});
