// A verifier of evidence that shares nothing with Troth: Node's crypto, and docs/readings.md and docs/evidence.md.
//   node verifier.mjs verify BUNDLE ROOT.pem      prints one JSON line for each reading
//   node verifier.mjs sign KEY.pem KEYID THING TOPIC SECONDS NUMBER PAYLOAD     prints a signed reading in base64
import { createHash, createPrivateKey, createPublicKey, sign, verify, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";

const sha = (...parts) => createHash("sha256").update(Buffer.concat(parts)).digest();
const fail = (what) => { throw new Error(what); };

// CBOR, general: majors 0 to 6.
function decode(data) {
  let at = 0;
  const item = () => {
    const first = data[at++], major = first >> 5, low = first & 31;
    let n = low;
    if (low === 24) n = data[at++];
    else if (low === 25) { n = data.readUInt16BE(at); at += 2; }
    else if (low === 26) { n = data.readUInt32BE(at); at += 4; }
    else if (low === 27) { n = Number(data.readBigUInt64BE(at)); at += 8; }
    else if (low > 27) fail("indefinite");
    if (major === 0) return n;
    if (major === 1) return -1 - n;
    if (major === 2) { at += n; return data.subarray(at - n, at); }
    if (major === 3) { at += n; return data.subarray(at - n, at).toString("utf8"); }
    if (major === 4) return Array.from({ length: n }, item);
    if (major === 5) return new Map(Array.from({ length: n }, () => [item(), item()]));
    if (major === 6) return { tag: n, value: item() };
    return fail("simple value");
  };
  const value = item();
  if (at !== data.length) fail("trailing bytes");
  return value;
}
function head(major, n) {
  if (n < 24) return Buffer.from([(major << 5) | n]);
  if (n < 256) return Buffer.from([(major << 5) | 24, n]);
  const wide = n < 65536 ? Buffer.alloc(3) : Buffer.alloc(5);
  wide[0] = (major << 5) | (n < 65536 ? 25 : 26);
  n < 65536 ? wide.writeUInt16BE(n, 1) : wide.writeUInt32BE(n, 1);
  return wide;
}
const bstr = (data) => Buffer.concat([head(2, data.length), data]);
const tstr = (text) => Buffer.concat([head(3, Buffer.byteLength(text)), Buffer.from(text)]);

const structure = (bodyProtected, payload) => Buffer.concat([
  head(4, 4), tstr("Signature1"), bstr(bodyProtected), bstr(Buffer.from("troth-reading-1")), bstr(payload),
]);
const HASHES = new Map([[-7, "sha256"], [-35, "sha384"], [-8, null]]);

function readReading(data) {
  const { tag, value } = decode(data);
  if (tag !== 18 || value.length !== 4 || value[1].size !== 0) fail("no COSE_Sign1 of a reading");
  const header = decode(value[0]), claims = header.get(15);
  if (!HASHES.has(header.get(1))) fail("no algorithm of a reading");
  return {
    keyId: header.get(4).toString("hex"), thing: claims.get(2) ?? null, topic: claims.get(3), at: claims.get(6),
    number: header.get(-65537), payload: value[2],
    isSignedBy: (key) => verify(HASHES.get(header.get(1)), structure(value[0], value[2]),
      { key, dsaEncoding: "ieee-p1363" }, value[3]),
  };
}

// RFC 9162, 2.1.3.2.
function include(leaf, index, size, path, root) {
  let fn = BigInt(index), sn = BigInt(size) - 1n, r = leaf;
  for (const p of path) {
    if (sn === 0n) fail("a path is too long");
    if ((fn & 1n) === 1n || fn === sn) {
      r = sha(Buffer.from([1]), p, r);
      while (fn !== 0n && (fn & 1n) === 0n) { fn >>= 1n; sn >>= 1n; }
    } else r = sha(Buffer.from([1]), r, p);
    fn >>= 1n; sn >>= 1n;
  }
  if (sn !== 0n || !r.equals(root)) fail("an entry is not in the journal");
}

function readCheckpoint(note, keyLine) {
  const text = note.toString("utf8"), cut = text.indexOf("\n\n") + 1;
  const [, , encoded] = keyLine.match(/^(.*?)\+([0-9a-f]{8})\+(.*)$/).slice(1);
  const raw = Buffer.from(encoded, "base64").subarray(1);
  const key = createPublicKey({ key: Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), raw]),
    format: "der", type: "spki" });
  const signature = Buffer.from(text.slice(cut).trim().split(" ").pop(), "base64").subarray(4);
  if (!verify(null, Buffer.from(text.slice(0, cut)), key, signature)) fail("the checkpoint is not signed");
  const [, size, root] = text.split("\n");
  return { size, root: Buffer.from(root, "base64") };
}

function verifyBundle(file, rootFile) {
  const root = new X509Certificate(readFileSync(rootFile));
  const lines = readFileSync(file, "latin1").split("\n");
  if (lines.shift() !== "troth-evidence 1") fail("no bundle");
  const of = (word) => lines.filter((l) => l.startsWith(word + " ")).map((l) => l.slice(word.length + 1));
  const { size, root: top } = readCheckpoint(Buffer.from(of("checkpoint")[0], "base64"), of("key")[0]);
  const entries = of("entry").map((line) => {
    const [index, path, body] = line.split(" "), bytes = Buffer.from(body, "base64");
    include(sha(Buffer.from([0]), bytes), index, size,
      path === "-" ? [] : path.split(",").map((h) => Buffer.from(h, "base64")), top);
    return JSON.parse(bytes);
  });
  const issuers = [root, ...of("issuer").map((der) => new X509Certificate(Buffer.from(der, "base64")))];
  const signers = new Map(of("certificate").map((der) => {
    const bytes = Buffer.from(der, "base64"), certificate = new X509Certificate(bytes);
    let below = certificate;
    for (let depth = 0; !below.raw.equals(root.raw); depth++) {
      const above = issuers.find((each) => below.checkIssued(each) && below.verify(each.publicKey));
      if (!above || depth > 10 || !above.ca) fail("a certificate does not lead to the root");
      below = above;
    }
    const id = sha(bytes).toString("hex");
    const told = entries.filter((each) => each.subject === id).sort((a, b) => a.number - b.number);
    const ends = told.find((each) => each.kind === "certificate.revoked");
    return [id, { certificate, issued: told.some((e) => e.kind === "certificate.issued"), ends }];
  }));
  const last = new Map(), body = lines.slice(lines.indexOf("readings") + 1).filter((l) => l.startsWith("{"));
  for (const line of body) {
    const { topic, payload_base64, received } = JSON.parse(line);
    let outcome;
    const reading = readReading(Buffer.from(payload_base64, "base64")), signer = signers.get(reading.keyId);
    const at = new Date(reading.at * 1000);
    if (!signer) outcome = "wrong-key";
    else if (!reading.isSignedBy(signer.certificate.publicKey)) outcome = "altered";
    else if (reading.topic !== topic) outcome = "moved-topic";
    else if (signer.certificate.subject !== `CN=${reading.thing}`) outcome = "moved-thing";
    else if (signer.ends && new Date(signer.ends.at) <= new Date(received)) outcome = "revoked-key";
    else if (!signer.issued) outcome = "inactive-key";
    else if (at < new Date(signer.certificate.validFrom) || at > new Date(signer.certificate.validTo)) outcome = "outside-validity";
    else if (reading.number <= (last.get(reading.keyId) ?? 0)) outcome = "replayed";
    else { last.set(reading.keyId, reading.number); outcome = "verified"; }
    console.log(JSON.stringify({ outcome, thing: reading.thing, at: at.toISOString(), payload: reading.payload.toString() }));
  }
}

function signReading([keyFile, keyId, thing, topic, seconds, number, payload]) {
  const label = Buffer.from("3a00010000", "hex");
  const header = Buffer.concat([head(5, 4), head(0, 1), head(1, 6), head(0, 4), bstr(Buffer.from(keyId, "hex")), head(0, 15),
    head(5, 3), head(0, 2), tstr(thing), head(0, 3), tstr(topic), head(0, 6), head(0, +seconds), label, head(0, +number)]);
  const key = createPrivateKey(readFileSync(keyFile)), body = Buffer.from(payload);
  const signature = sign("sha256", structure(header, body), { key, dsaEncoding: "ieee-p1363" });
  const whole = Buffer.concat([head(6, 18), head(4, 4), bstr(header), head(5, 0), bstr(body), bstr(signature)]);
  console.log(whole.toString("base64"));
}

const [word, ...rest] = process.argv.slice(2);
word === "sign" ? signReading(rest) : verifyBundle(...rest);
