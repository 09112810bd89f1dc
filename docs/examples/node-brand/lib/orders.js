// Orders that this brand sends: made once, stored, sent until there is an answer, and held against the stream.
//
// Rules kept here:
// - The signed bytes are on the disk before they are sent. Whatever happens then, the same bytes are sent again; a new
//   order in their place might pay twice.
// - An answer counts when the receipt verifies; how an order stands is what the newest entry of the stream says of it.
// - The stream is read without a gap. So an order that somebody else signed with our key shows too.

import crypto from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { fromJson, payloadType, sameEnvelope, sign, toJson } from "./envelope.js";
import { Refused, Unanswered } from "./exchange.js";
import { open, openingKey, sealInfo } from "./fulfilment.js";
import { Journal } from "./journal.js";
import { Chain, readEntry, Verifier } from "./receipts.js";
import { decode, encode, toTimestamp } from "./wire.js";

/** Points and money are kept aside: an operator, or the target's answer, decides. */
export const UNDECIDED = ["HELD", "RESERVED"];

const ATTEMPTS = 6;
const FIRST_PAUSE_MS = 200;
const GOOD_FOR_MS = 5 * 60_000;
const PAGE = 500;

/** A UUID version 7: 48 bits of milliseconds, the version, and chance. */
export function uuid7(now = Date.now()) {
  const bytes = crypto.randomBytes(16);
  bytes.writeUIntBE(now, 0, 6);
  bytes[6] = 0x70 | (bytes[6] & 0x0f);
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  return bytes;
}

/** The payload of a `transfer-order`. */
export function orderPayload(fields) {
  return encode("pointclear.exchange.v1.TransferOrder", fields);
}

/** This brand's orders, in a journal of their own. */
export class Orders {
  constructor(profile, exchange, file) {
    this.profile = profile;
    this.exchange = exchange;
    /** By transfer id: the envelope, and how the order stands; no state before there is an answer. */
    this.orders = new Map();
    this.chain = new Chain();
    this.journal = new Journal(file, (line) => this.#replay(line));
  }

  /** Must be called before anything else: without the exchange's keys no answer means anything. */
  async start(trusted) {
    this.verifier = new Verifier(await this.exchange.receiptKeys(trusted), this.profile);
  }

  /** What an order sent now would come to: the agreement in force, and the target points that it gives. */
  async simulate({ source, target, points, segment }) {
    const said = await this.exchange.call("SimulateTransfer", {
      source_program: source,
      target_program: target,
      source_points: String(points),
      segment,
    });
    // Where there are no points to name, there is no order to make; otherwise its receipt says why it is refused.
    if (said.refusal && said.target_points === "0") throw Refused.ofItem(said.refusal);
    return {
      agreement_id: said.agreement_id,
      agreement_version: said.agreement_version,
      target_points: BigInt(said.target_points),
    };
  }

  /** A verified quote: figures that hold for one order until it expires. */
  async quote({ source, target, points, segment }) {
    const request = {
      quote_id: uuid7(),
      source_program: source,
      target_program: target,
      source_points: String(points),
      segment,
    };
    // The same request again gets the same quote, so it is repeated like an order.
    const { quote } = await patiently(() => this.exchange.call("CreateQuote", request));
    const said = this.verifier.quote(quote, request.quote_id);
    if (said.source_program !== source || said.target_program !== target || said.source_points !== String(points)) {
      throw new Error("the quote is for something else than was asked");
    }
    return { quote_id: said.quote_id, target_points: BigInt(said.target_points) };
  }

  /** Makes and stores an order; its terms are what `simulate` or `quote` gave. Returns its transfer id. */
  make({ source, target, points, segment, sourceMember, targetMember, reference }, terms) {
    const now = Date.now();
    const transferId = uuid7(now);
    const payload = orderPayload({
      audience: this.profile.audience,
      partner_id: this.profile.partner,
      transfer_id: transferId,
      source_program: source,
      target_program: target,
      source_member: sourceMember,
      target_member: targetMember,
      source_points: BigInt(points),
      ...terms,
      segment,
      issued_at: toTimestamp(now),
      expires_at: toTimestamp(now + GOOD_FOR_MS),
      partner_reference: reference,
    });
    const envelope = sign(this.profile.orders, payloadType("transfer-order"), payload);
    this.#keep({ type: "order", order: toJson(envelope) }).sent = false;
    return transferId.toString("hex");
  }

  /** Sends an order's stored bytes until there is an answer, and reads the stream up to it. Returns how it stands. */
  async send(transferId) {
    const order = this.orders.get(transferId);
    if (!order) throw new Error(`there is no order ${transferId} in this journal`);
    // Bytes that may have been sent before may have been carried out before.
    let inDoubt = order.sent;
    order.sent = true;
    let answer;
    try {
      const request = { order: order.envelope };
      const call = () => this.exchange.call("CreateTransfer", request);
      answer = (await patiently(call, () => (inDoubt = true))).receipt;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      order.refusal = error;
      if (!error.receipt) {
        // Nothing was recorded this time; of an earlier sending it says nothing. Then the order stays open.
        if (inDoubt || error.retry === "SAME_ID") throw error;
        return this.#keep({ type: "unrecorded", transferId, reason: error.reason });
      }
      answer = error.receipt;
    }
    const entry = this.verifier.receiptOf(order.envelope, answer);
    await this.readStream();
    const inStream = this.orders.get(transferId).receipts ?? [];
    if (!inStream.some((each) => sameEnvelope(each, answer))) {
      throw new Error(`the receipt of ${transferId} is not at position ${entry.streamSeq} of the stream`);
    }
    return this.orders.get(transferId);
  }

  /** The orders without an answer, and those that somebody has yet to decide. */
  pending() {
    return [...this.orders].filter(([, { state }]) => !state || UNDECIDED.includes(state)).map(([id]) => id);
  }

  /** Reads, verifies and stores what is new in our stream; returns those entries. */
  async readStream() {
    const entries = [];
    let last;
    do {
      const page = await patiently(() =>
        this.exchange.call("ListReceipts", { after_stream_seq: String(this.chain.seq), page_size: PAGE }),
      );
      last = BigInt(page.last_stream_seq);
      if (!page.entries.length && this.chain.seq !== last) throw new Error("the stream ends before its end");
      for (const { envelope } of page.entries) {
        const entry = this.verifier.entry(envelope);
        const order = this.orders.get(entry.transferId);
        if (order && entry.kind === "transfer-receipt") this.verifier.receiptOf(order.envelope, envelope);
        this.chain.mustFollow(entry);
        // What a crash before this line leaves: the entry is read and verified again.
        this.#keep({ type: "entry", entry: toJson(envelope) });
        entries.push(entry);
      }
    } while (this.chain.seq < last);
    return entries;
  }

  /** The code or certificate that came in place of points; null where there is none, or none yet. */
  async fulfilment(transferId) {
    const id = Buffer.from(transferId, "hex");
    const { fulfilment } = await this.exchange.call("GetTransfer", { transfer_id: id });
    if (!fulfilment.length) return null;
    return open(fulfilment, openingKey(this.profile.orders.privateKey), sealInfo(this.profile.audience, id));
  }

  #keep(line) {
    this.journal.append(line);
    return this.#replay(line);
  }

  /** Takes a stored line into account: it was verified before it was stored. */
  #replay(line) {
    if (line.type === "order") {
      const envelope = fromJson(line.order);
      const { transfer_id: id } = decode("pointclear.exchange.v1.TransferOrder", envelope.payload);
      this.orders.set(id.toString("hex"), { envelope, sent: true });
      return this.orders.get(id.toString("hex"));
    }
    if (line.type === "unrecorded") {
      return Object.assign(this.orders.get(line.transferId), { state: "REFUSED", reason: line.reason });
    }
    const envelope = fromJson(line.entry);
    const entry = readEntry(envelope);
    this.chain.append(entry);
    const order = this.orders.get(entry.transferId);
    if (order && entry.kind === "reversal-notice" && entry.state === "COMMITTED") {
      order.reversed = entry.record.reversed_points;
    }
    if (!order || entry.kind !== "transfer-receipt") return order;
    // An order that was held or reserved has two records, and the newer one counts.
    Object.assign(order, { state: entry.state, reason: entry.reason, record: entry.record });
    order.receipts = [...(order.receipts ?? []), envelope];
    return order;
  }
}

/** Makes a call again while it may be repeated; `onDoubt` is told when it may have been carried out. */
async function patiently(call, onDoubt = () => {}) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await call();
    } catch (error) {
      const unknown = error instanceof Unanswered || error.reason === "TRY_LATER";
      if (unknown) onDoubt();
      if (attempt === ATTEMPTS || !(unknown || error.retry === "SAME_ID")) throw error;
      await pause((error.retryAfterMs ?? 0) + Math.random() * FIRST_PAUSE_MS * 2 ** attempt);
    }
  }
}
