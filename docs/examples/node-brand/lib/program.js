// The points program itself: what it does with the exchange's instructions.
//
// Rules kept here:
// - An instruction is known by its id and its kind. The same one again gets the first answer; with other content it is
//   declined. An answer's payload is kept, and signed by the key that is in use when it is given.
// - Decision, booking and answer are one line of the journal. So there is no booking without an answer and no
//   answer without a booking, wherever the process is killed.
// - LookUp of what never came is a promise: it is written down, and the instruction is declined if it comes later.
// - An instruction is decided in one go, without waiting for anything in between: no other one comes in.

import { payloadType, sha256, sign } from "./envelope.js";
import { Journal } from "./journal.js";
import { encode, toTimestamp } from "./wire.js";

const ID_BYTES = 16;
const FENCED = null;

/** What is asked cannot be an instruction to this program: nothing is done and nothing is signed. */
export class NotForUs extends Error {}

export class Program {
  constructor(profile, program, file) {
    this.profile = profile;
    this.program = program;
    /** By member: "ELIGIBLE" or "INELIGIBLE". */
    this.members = new Map();
    this.balances = new Map();
    /** By kind and id: what was answered, and to what content. */
    this.answers = new Map();
    this.journal = new Journal(file, (line) => this.#replay(line));
  }

  /** Makes somebody a member, or changes whether they may take part. */
  enrol(member, eligibility) {
    this.journal.append({ kind: "MEMBER", member, eligibility });
    this.members.set(member, eligibility);
  }

  /** Whether a member may take part. */
  eligibility(request) {
    this.#mustBeOurs(request);
    return this.members.get(request.member) ?? "UNKNOWN";
  }

  /** Points that a member may spend. */
  balance(request) {
    this.#mustBeOurs(request);
    return this.balances.get(request.member) ?? 0n;
  }

  /** Gives points, all that are asked for, or declines. */
  credit(request) {
    this.#mustBeInstruction(request);
    const lots = request.expiry_lots.map((lot) => [lot.points, lot.expires_at?.seconds, lot.expires_at?.nanos]);
    const order = request.order_sha256.toString("hex");
    // Whether the transfer is committed by now is no part of what is asked.
    const content = digest([request.member, request.points, lots, order]);
    return this.#once("CREDIT", request, content, () => {
      const eligibility = this.members.get(request.member);
      if (eligibility === undefined) return { outcome: "DECLINED", reason: "MEMBER_UNKNOWN" };
      if (eligibility !== "ELIGIBLE") return { outcome: "DECLINED", reason: "MEMBER_INELIGIBLE" };
      return { outcome: "DONE", points: BigInt(request.points) };
    });
  }

  /** Takes back what the member still has of an earlier credit, at most what is asked for. */
  reverse(request) {
    this.#mustBeInstruction(request);
    const credited = request.transfer_id.toString("hex");
    const content = digest([request.member, request.points, credited]);
    return this.#once("REVERSE", { ...request, credited }, content, () => {
      const credit = this.answers.get(`CREDIT ${credited}`);
      if (credit?.outcome !== "DONE" || credit.member !== request.member) {
        return { outcome: "DECLINED", reason: "OTHER" };
      }
      const asked = BigInt(request.points);
      const points = [asked, credit.left, this.balances.get(request.member)].reduce((a, b) => (a < b ? a : b));
      return points > 0n ? { outcome: "DONE", points } : { outcome: "DECLINED", reason: "SPENT" };
    });
  }

  /** What became of an instruction; one that never came is fenced off. */
  lookUp(request) {
    this.#mustBeOurs(request, request.audience);
    const kind = String(request.kind).replace("INSTRUCTION_KIND_", "");
    if (!["CREDIT", "REVERSE"].includes(kind)) throw new NotForUs("kind is neither CREDIT nor REVERSE");
    const id = idOf(request.instruction_id);
    const known = this.answers.get(`${kind} ${id}`);
    return known ? this.#signed(known.payload) : this.#decide(kind, id, FENCED, {}, { outcome: "NEVER" });
  }

  #once(kind, request, content, decision) {
    const id = idOf(request.instruction_id);
    const known = this.answers.get(`${kind} ${id}`);
    if (known?.content === content) return this.#signed(known.payload);
    // Declined for good, and not written down: what the id stands for stays as it is.
    const declined = (reason) => this.#signed(this.#payload(kind, id, { outcome: "DECLINED", reason }));
    if (known) return declined(known.content === FENCED ? "OTHER" : "CONFLICT");
    return this.#decide(kind, id, content, request, decision());
  }

  /** Books a decision; returns it signed. */
  #decide(kind, id, content, { member, credited }, decision) {
    const payload = this.#payload(kind, id, { ...decision, reference: `booking-${this.answers.size + 1}` });
    const { outcome, points } = decision;
    const answer = { outcome, points: points?.toString(), payload: payload.toString("base64") };
    const line = { kind, id, content, member, credited, ...answer };
    // What a crash before the line leaves: nothing happened. After it: all of it did, and asking again tells so.
    this.journal.append(line);
    this.#replay(line);
    return this.#signed(payload);
  }

  #replay({ kind, id, content, member, credited, outcome, points, payload, eligibility }) {
    if (kind === "MEMBER") {
      this.members.set(member, eligibility);
      return;
    }
    const answer = { content, member, outcome, left: 0n, payload: Buffer.from(payload, "base64") };
    this.answers.set(`${kind} ${id}`, answer);
    if (outcome !== "DONE") return;
    const [given, before] = [BigInt(points), this.balances.get(member) ?? 0n];
    if (kind === "CREDIT") {
      answer.left = given;
      this.balances.set(member, before + given);
    } else {
      this.answers.get(`CREDIT ${credited}`).left -= given;
      this.balances.set(member, before - given);
    }
  }

  /** What is said of an instruction: a `CreditConfirmation`. It holds no member reference. */
  #payload(kind, id, { outcome, points, reason, reference }) {
    return encode("pointclear.partners.v1.CreditConfirmation", {
      audience: this.profile.audience,
      partner_id: this.profile.partner,
      instruction_id: Buffer.from(id, "hex"),
      kind: `INSTRUCTION_KIND_${kind}`,
      program: this.program,
      outcome: `CREDIT_OUTCOME_${outcome}`,
      points,
      reason: reason && `DECLINE_REASON_${reason}`,
      decided_at: toTimestamp(Date.now()),
      program_reference: reference,
    });
  }

  #signed(payload) {
    return sign(this.profile.orders, payloadType("credit-confirmation"), payload);
  }

  #mustBeInstruction(request) {
    this.#mustBeOurs(request, request.audience);
    if (!request.member) throw new NotForUs("member is empty");
    if (BigInt(request.points) <= 0n) throw new NotForUs("points are not positive");
  }

  #mustBeOurs(request, audience = this.profile.audience) {
    if (audience !== this.profile.audience) throw new NotForUs(`audience is ${audience}`);
    if (request.program !== this.program) throw new NotForUs(`there is no program ${request.program} here`);
  }
}

function idOf(bytes) {
  if (bytes.length !== ID_BYTES) throw new NotForUs("an id does not have 16 bytes");
  return bytes.toString("hex");
}

function digest(content) {
  return sha256(JSON.stringify(content)).toString("hex");
}
