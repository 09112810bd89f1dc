// What the program promises it keeps, also after a crash.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { payloadType, sameEnvelope, signerOf, verify } from "../lib/envelope.js";
import { Journal } from "../lib/journal.js";
import { NotForUs, Program } from "../lib/program.js";
import { decode } from "../lib/wire.js";

const { privateKey, publicKey } = crypto.generateKeyPairSync("ed25519");
const PROFILE = { audience: "pointclear.test/node", partner: "lotus", orders: signerOf(privateKey) };

function file() {
  return path.join(fs.mkdtempSync(path.join(os.tmpdir(), "node-brand-")), "program.jsonl");
}

function opened(journal = file()) {
  const program = new Program(PROFILE, "lotus", journal);
  if (!program.members.size) {
    program.enrol("L-77", "ELIGIBLE");
    program.enrol("L-78", "INELIGIBLE");
  }
  return program;
}

function credit(changes = {}) {
  return {
    audience: PROFILE.audience,
    instruction_id: crypto.randomBytes(16),
    program: "lotus",
    member: "L-77",
    points: "500",
    expiry_lots: [],
    committed: true,
    order_sha256: Buffer.alloc(32),
    ...changes,
  };
}

function reversal({ instruction_id: transfer_id }, changes = {}) {
  return { ...credit(), transfer_id, points: "300", ...changes };
}

function lookUp(instruction_id, kind = "CREDIT") {
  return { ...credit(), instruction_id, kind: `INSTRUCTION_KIND_${kind}` };
}

/** Outcome, points and reason of a confirmation, once its signature is good. */
function said(confirmation) {
  assert.equal(confirmation.payload_type, payloadType("credit-confirmation"));
  verify(confirmation, new Map([[PROFILE.orders.keyId, publicKey]]));
  const { outcome, points, reason } = decode("pointclear.partners.v1.CreditConfirmation", confirmation.payload);
  const bare = [outcome.replace("CREDIT_OUTCOME_", ""), Number(points), reason.replace("DECLINE_REASON_", "")];
  return bare.filter((each) => each && each !== "UNSPECIFIED").join(" ");
}

const balance = (program) => program.balance({ program: "lotus", member: "L-77" });

test("a credit is carried out once, and answered alike for ever", () => {
  const journal = file();
  const instruction = credit();
  const first = opened(journal).credit(instruction);
  const again = opened(journal);
  assert.equal(said(first), "DONE 500");
  assert.ok(sameEnvelope(first, again.credit({ ...instruction, committed: false })));
  assert.ok(sameEnvelope(first, again.lookUp(lookUp(instruction.instruction_id))));
  assert.equal(said(again.credit({ ...instruction, points: "501" })), "DECLINED CONFLICT");
  assert.equal(balance(again), 500n);
});

test("an answer is signed by the key in use when it is given", () => {
  const journal = file();
  const instruction = credit();
  const first = opened(journal).credit(instruction);
  const next = crypto.generateKeyPairSync("ed25519");
  const again = new Program({ ...PROFILE, orders: signerOf(next.privateKey) }, "lotus", journal);
  const later = again.lookUp(lookUp(instruction.instruction_id));
  assert.deepEqual(later.payload, first.payload);
  verify(later, new Map([[later.signatures[0].key_id, next.publicKey]]));
});

test("a look-up is a fence, also after a restart", () => {
  const journal = file();
  const instruction = credit();
  assert.equal(said(opened(journal).lookUp(lookUp(instruction.instruction_id))), "NEVER");
  const again = opened(journal);
  assert.equal(said(again.credit(instruction)), "DECLINED OTHER");
  assert.equal(said(again.lookUp(lookUp(instruction.instruction_id))), "NEVER");
  assert.equal(balance(again), 0n);
});

test("members who are nobody, or may not take part, get nothing", () => {
  const program = opened();
  assert.equal(said(program.credit(credit({ member: "L-99" }))), "DECLINED MEMBER_UNKNOWN");
  assert.equal(said(program.credit(credit({ member: "L-78" }))), "DECLINED MEMBER_INELIGIBLE");
  assert.equal(program.eligibility({ program: "lotus", member: "L-99" }), "UNKNOWN");
});

test("reversals take back what the credit gave, and no more", () => {
  const journal = file();
  const instruction = credit();
  const program = opened(journal);
  program.credit(instruction);
  program.credit(credit());
  assert.equal(said(program.reverse(reversal(instruction))), "DONE 300");
  const again = opened(journal);
  assert.equal(said(again.reverse(reversal(instruction))), "DONE 200");
  assert.equal(said(again.reverse(reversal(instruction))), "DECLINED SPENT");
  assert.equal(said(again.reverse(reversal(credit()))), "DECLINED OTHER");
  assert.equal(balance(again), 500n);
});

test("what is meant for others, or no instruction at all, is not answered", () => {
  const program = opened();
  for (const wrong of [
    { audience: "pointclear.test/other" },
    { program: "aurora" },
    { member: "" },
    { points: "0" },
    { points: "-1" },
    { instruction_id: Buffer.alloc(15) },
  ]) {
    assert.throws(() => program.credit(credit(wrong)), NotForUs, JSON.stringify(wrong));
  }
  assert.throws(() => program.lookUp(lookUp(Buffer.alloc(16), "UNSPECIFIED")), NotForUs);
  assert.equal(program.answers.size, 0);
});

test("a line that a crash cut off was never said", () => {
  const journal = file();
  const instruction = credit();
  opened(journal).credit(instruction);
  const whole = fs.readFileSync(journal);
  for (const length of [0, 1, whole.length - 1]) {
    fs.writeFileSync(journal, Buffer.concat([whole, whole.subarray(0, length)]));
    const program = opened(journal);
    assert.equal(balance(program), 500n);
    assert.equal(said(program.credit(credit())), "DONE 500");
    assert.equal(balance(opened(journal)), 1000n);
  }
});

test("two processes on one journal find each other out", () => {
  const journal = file();
  const [one, other] = [new Journal(journal, () => {}), new Journal(journal, () => {})];
  one.append({ first: 1 });
  assert.throws(() => other.append({ second: 1 }), /another process/);
});
