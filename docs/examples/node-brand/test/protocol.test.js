// What this brand makes and accepts is, to the byte, what docs/protocol.md says.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import { test } from "node:test";
import { fromJson, keyIdOf, pae, payloadType, publicKeyOf, sha256, sign, signerOf } from "../lib/envelope.js";
import { open, openingKey, publicBytes, sealInfo } from "../lib/fulfilment.js";
import { checkRecord, split, taxOn } from "../lib/figures.js";
import { orderPayload, uuid7 } from "../lib/orders.js";
import { Chain, Verifier } from "../lib/receipts.js";
import { decode, encode } from "../lib/wire.js";

const PAGE = fs.readFileSync(new URL("../../../protocol.md", import.meta.url), "utf8");
const AUDIENCE = "pointclear.local/development";

/** A block of the page; what stands behind # is for people. */
function hex(name) {
  const [, block] = PAGE.split(`<!-- test: hex ${name} -->\n\`\`\`text\n`);
  const lines = block.split("```")[0].split("\n");
  return Buffer.from(lines.map((line) => line.split("#")[0].trim()).join(""), "hex");
}

function signerOfSeed(seed) {
  const head = Buffer.from("302e020100300506032b657004220420", "hex");
  return signerOf(crypto.createPrivateKey({ key: Buffer.concat([head, seed]), format: "der", type: "pkcs8" }));
}

const ORDER = {
  audience: AUDIENCE,
  partner_id: "aurora",
  transfer_id: Buffer.from("019b8d9969fa7000800000000000002a", "hex"),
  source_program: "aurora-miles",
  target_program: "borealis-points",
  source_member: "A-1001",
  target_member: "B-77",
  source_points: 1000n,
  target_points: 500n,
  agreement_id: "aurora-borealis",
  agreement_version: 1,
  issued_at: decode("pointclear.exchange.v1.TransferOrder", hex("order payload")).issued_at,
  expires_at: decode("pointclear.exchange.v1.TransferOrder", hex("order payload")).expires_at,
  partner_reference: "till-7/000123",
};

function verifier(changes = {}) {
  const raw = hex("receipt public key");
  const key = { public_key: raw, registered_index: "0", revoked_index: "0", ...changes };
  return new Verifier(new Map([[keyIdOf(raw), key]]), { audience: AUDIENCE, partner: "aurora" });
}

function receipt(changes = {}) {
  return {
    payload_type: payloadType("transfer-receipt"),
    payload: hex("receipt payload"),
    signatures: [{ key_id: hex("receipt key id").toString("hex"), signature: hex("receipt signature") }],
    ...changes,
  };
}

test("an order is encoded, named and signed as the page shows", () => {
  const payload = orderPayload({ ...ORDER, segment: "", link_id: Buffer.alloc(0), source_lots: [] });
  assert.deepEqual(payload, hex("order payload"));
  const type = payloadType("transfer-order");
  assert.deepEqual(pae(type, payload), hex("order pae"));
  const signer = signerOfSeed(hex("order seed"));
  assert.equal(signer.keyId, hex("order key id").toString("hex"));
  const [{ signature }] = sign(signer, type, payload).signatures;
  assert.deepEqual(signature, hex("order signature"));
  assert.deepEqual(sha256(payload), hex("order sha256"));
});

test("points beyond what a double holds are encoded exactly", () => {
  const points = 2n ** 62n - 1n;
  const payload = orderPayload({ ...ORDER, source_points: points });
  assert.equal(decode("pointclear.exchange.v1.TransferOrder", payload).source_points, points.toString());
});

test("the receipt of the page verifies, and is this order's", () => {
  const order = { payload: hex("order payload") };
  const entry = verifier().receiptOf(order, receipt());
  assert.equal(entry.state, "COMMITTED");
  assert.deepEqual(entry.sha256, hex("receipt sha256"));
  const chain = new Chain();
  chain.append(entry);
  assert.deepEqual(chain.sha256, hex("receipt sha256"));
  assert.throws(() => chain.mustFollow(entry), /comes after/);
});

test("a receipt with any one bit changed is not good", () => {
  for (let index = 0; index < receipt().payload.length; index += 1) {
    const payload = hex("receipt payload");
    payload[index] ^= 1;
    assert.throws(() => verifier().entry(receipt({ payload })), /does not fit/);
  }
});

test("a receipt of others, by a key of others, or by a key that was revoked is not good", () => {
  const others = verifier();
  others.partner = "borealis";
  assert.throws(() => others.entry(receipt()), /not meant for us/);
  assert.throws(() => verifier({ revoked_index: "5" }).entry(receipt()), /revoked before/);
  assert.throws(() => verifier({ registered_index: "5" }).entry(receipt()), /registered after/);
  verifier({ revoked_index: "6" }).entry(receipt());
  const [own] = sign(signerOfSeed(hex("order seed")), receipt().payload_type, receipt().payload).signatures;
  assert.throws(() => verifier().entry(receipt({ signatures: [own] })), /no key/);
  assert.throws(() => verifier().entry(receipt({ payload_type: payloadType("news") })), /does not know/);
  const order = { payload: orderPayload({ ...ORDER, target_points: 501n }) };
  assert.throws(() => verifier().receiptOf(order, receipt()), /other bytes/);
});

test("figures that do not follow from the rates are found", () => {
  const record = decode("pointclear.exchange.v1.TransferRecord", hex("record"));
  checkRecord(record);
  for (const name of ["source_points", "target_points", "value", "value_tax", "price_per_target_point"]) {
    const wrong = { ...record, [name]: (BigInt(record[name]) + 1n).toString() };
    assert.throws(() => checkRecord(wrong), /do not follow/, name);
  }
});

test("a tax is rounded to the nearest unit, halves to the even one", () => {
  const taxes = [5n, 15n, 25n, 14n, 16n].map((amount) => taxOn(amount, 1000));
  assert.deepEqual(taxes, [0n, 2n, 2n, 1n, 2n]);
});

test("a bonus is split to the last unit, the largest remainders and the earlier funders first", () => {
  assert.deepEqual(split(10n, [3333n, 3333n, 3334n]), [3n, 3n, 4n]);
  assert.deepEqual(split(2n, [3333n, 3333n, 3334n]), [1n, 0n, 1n]);
  assert.deepEqual(split(1n, [5000n, 5000n]), [1n, 0n]);
});

test("the page's envelope in DSSE's JSON form is the order's", () => {
  const [, block] = PAGE.split("<!-- test: envelope -->\n```text\n");
  const envelope = fromJson(JSON.parse(block.split("```")[0].replace(/\n */g, "")));
  assert.deepEqual(envelope.payload, hex("order payload"));
  assert.deepEqual(envelope.signatures[0].signature, hex("order signature"));
  assert.ok(publicKeyOf(hex("order public key")));
});

test("a confirmation is encoded and signed as the page shows", () => {
  const name = "pointclear.partners.v1.CreditConfirmation";
  const { decided_at } = decode(name, hex("confirmation"));
  const payload = encode(name, {
    audience: AUDIENCE,
    partner_id: "borealis",
    instruction_id: ORDER.transfer_id,
    kind: "INSTRUCTION_KIND_CREDIT",
    program: "borealis-points",
    outcome: "CREDIT_OUTCOME_DONE",
    points: 500n,
    decided_at,
    program_reference: "booking-17",
  });
  assert.deepEqual(payload, hex("confirmation"));
  const signer = signerOfSeed(hex("target seed"));
  assert.equal(signer.keyId, hex("target key id").toString("hex"));
  const [{ signature }] = sign(signer, payloadType("credit-confirmation"), payload).signatures;
  assert.deepEqual(signature, hex("confirmation signature"));
});

test("a fulfilment opens with the key that signed the order, for its transfer alone", () => {
  const key = openingKey(signerOfSeed(hex("order seed")).privateKey);
  assert.deepEqual(publicBytes(key), hex("sealing key"));
  const info = sealInfo(AUDIENCE, ORDER.transfer_id);
  assert.deepEqual(info, hex("fulfilment info"));
  assert.equal(open(hex("fulfilment"), key, info).toString(), "BOREALIS-7F3K");
  assert.throws(() => open(hex("fulfilment"), key, sealInfo(AUDIENCE, Buffer.alloc(16))));
  const others = openingKey(signerOfSeed(hex("target seed")).privateKey);
  assert.throws(() => open(hex("fulfilment"), others, info));
});

test("an id is a UUID of version 7 that begins with its time", () => {
  const id = uuid7(0x019b8d9969fa).toString("hex");
  assert.match(id, /^019b8d9969fa7[0-9a-f]{3}[89ab][0-9a-f]{15}$/);
});
