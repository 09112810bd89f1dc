// Receipts and notices: everything that can be verified about one, and about the stream that they form.
//
// The steps are those of "Verifying one" in docs/protocol.md. A type that is not known here is no receipt to us: it
// stops the reading, so that nothing is taken for verified that was not.

import { payloadType, sha256, verify } from "./envelope.js";
import { keyObjects } from "./exchange.js";
import { checkFee, checkRecord } from "./figures.js";
import { decode, toMicroseconds } from "./wire.js";

const MESSAGES = new Map([
  [payloadType("transfer-receipt"), "pointclear.exchange.v1.TransferReceipt"],
  [payloadType("credit-notice"), "pointclear.exchange.v1.CreditNotice"],
  [payloadType("funding-notice"), "pointclear.exchange.v1.FundingNotice"],
]);
const NOTHING_BEFORE = Buffer.alloc(32);

/** What a receipt or notice says. Nothing is verified here. */
export function readEntry(envelope) {
  const said = decode(MESSAGES.get(envelope.payload_type), envelope.payload);
  const record = decode("pointclear.exchange.v1.TransferRecord", said.record);
  return {
    isReceipt: envelope.payload_type === payloadType("transfer-receipt"),
    streamSeq: BigInt(said.stream_seq),
    previous: said.previous_sha256,
    sha256: sha256(envelope.payload),
    transferId: record.transfer_id.toString("hex"),
    // What this version of the .proto files has no name for is a number, and stays one.
    state: String(record.state).replace("TRANSFER_STATE_", ""),
    reason: String(record.reason).replace(/^REASON_(UNSPECIFIED)?/, ""),
    record,
    said,
  };
}

/** Verifies entries of one partner's stream. */
export class Verifier {
  /** `keys`: the exchange's registered keys for receipts, as `Exchange.receiptKeys` gives them. */
  constructor(keys, { audience, partner }) {
    this.keys = keys;
    this.objects = keyObjects(keys);
    this.audience = audience;
    this.partner = partner;
  }

  /** What a receipt or notice says; throws unless all of it holds. */
  entry(envelope) {
    must(MESSAGES.has(envelope.payload_type), `a type that this client does not know: ${envelope.payload_type}`);
    const keyId = verify(envelope, this.objects);
    const entry = readEntry(envelope);
    const { said, record } = entry;
    must(said.signing_key_id === keyId, "it names another key than the one that signed it");
    must(said.audience === this.audience && said.partner_id === this.partner, "it is not meant for us");
    // The log index is the clock: a key counts between its registration and its revocation.
    const { registered_index: from, revoked_index: until } = this.keys.get(keyId);
    must(BigInt(from) < BigInt(record.log_index), "its key was registered after it");
    must(until === "0" || BigInt(record.log_index) < BigInt(until), "its key was revoked before it");
    const part = partOf(said, record);
    if (entry.state === "COMMITTED") {
      const basis = checkRecord(record);
      if (part) checkFee(part, basis);
    } else {
      must(entry.isReceipt, "a notice of what was not committed");
    }
    return entry;
  }

  /** The receipt of this very order; `order` is its envelope. */
  receiptOf(order, envelope) {
    const entry = this.entry(envelope);
    must(entry.isReceipt, "not a receipt");
    const { transfer_id: id } = decode("pointclear.exchange.v1.TransferOrder", order.payload);
    must(entry.record.transfer_id.equals(id), "another transfer's receipt");
    must(entry.record.order_sha256.equals(sha256(order.payload)), "a receipt of other bytes than we sent");
    return entry;
  }

  /** A quote's figures; throws unless the exchange signed it for this partner. */
  quote(envelope, quoteId) {
    must(envelope.payload_type === payloadType("quote"), "not a quote");
    const keyId = verify(envelope, this.objects);
    const quote = decode("pointclear.exchange.v1.Quote", envelope.payload);
    must(quote.signing_key_id === keyId, "it names another key than the one that signed it");
    must(this.keys.get(keyId).revoked_index === "0", "its key was revoked");
    must(quote.audience === this.audience && quote.partner_id === this.partner, "it is not meant for us");
    must(quote.quote_id.equals(quoteId), "another quote");
    must(toMicroseconds(quote.issued_at) < toMicroseconds(quote.expires_at), "it was never good");
    return quote;
  }
}

/** The end of a stream, as far as it was read: what comes next must follow it. */
export class Chain {
  constructor() {
    this.seq = 0n;
    this.sha256 = NOTHING_BEFORE;
  }

  /** Throws where an entry was left out, added, swapped or changed. */
  mustFollow(entry) {
    must(entry.streamSeq === this.seq + 1n, `stream position ${entry.streamSeq} comes after ${this.seq}`);
    must(entry.previous.equals(this.sha256), `stream position ${entry.streamSeq} does not follow the one before`);
  }

  /** Takes one more entry. */
  append(entry) {
    this.mustFollow(entry);
    this.seq = entry.streamSeq;
    this.sha256 = entry.sha256;
  }
}

/** The part that is this side's business alone, opened by its salt; null where the record commits to none. */
function partOf(said, record) {
  const side = ["source", "target"].find((each) => `${each}_part` in said);
  if (!side) return null;
  const [bytes, digest] = [said[`${side}_part`], record[`${side}_part_sha256`]];
  if (!bytes.length && !digest.length) return null;
  const opened = sha256(said[`${side}_part_salt`], bytes);
  must(opened.equals(digest), `the ${side} part is not the one that the record commits to`);
  return decode(`pointclear.exchange.v1.${side === "source" ? "SourcePart" : "TargetPart"}`, bytes);
}

function must(holds, fault) {
  if (!holds) throw new Error(`not a good receipt: ${fault}`);
}
