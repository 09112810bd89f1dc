// Receipts and notices: everything that can be verified about one, and about the stream that they form.
//
// The steps are those of "Verifying one" in docs/protocol.md. A type that is not known here is no receipt to us: it
// stops the reading, so that nothing is taken for verified that was not.

import { payloadType, sha256, verify } from "./envelope.js";
import { keyObjects } from "./exchange.js";
import { checkFee, checkRecord, checkReversal } from "./figures.js";
import { decode, toMicroseconds } from "./wire.js";

/** What the stream holds, by the last word of its type: the messages of an entry and of its record. */
const KINDS = new Map([
  ["transfer-receipt", ["TransferReceipt", "TransferRecord"]],
  ["credit-notice", ["CreditNotice", "TransferRecord"]],
  ["funding-notice", ["FundingNotice", "TransferRecord"]],
  ["reversal-notice", ["ReversalNotice", "ReversalRecord"]],
]);
const exchange = (name) => `pointclear.exchange.v1.${name}`;
const NOTHING_BEFORE = Buffer.alloc(32);

/** What a receipt or notice says. Nothing is verified here. */
export function readEntry(envelope) {
  const kind = kindOf(envelope);
  const [message, recorded] = KINDS.get(kind);
  const said = decode(exchange(message), envelope.payload);
  const record = decode(exchange(recorded), said.record);
  return {
    kind,
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
    must(KINDS.has(kindOf(envelope)), `a type that this client does not know: ${envelope.payload_type}`);
    const keyId = verify(envelope, this.objects);
    const entry = readEntry(envelope);
    const { kind, said, record } = entry;
    must(said.signing_key_id === keyId, "it names another key than the one that signed it");
    must(said.audience === this.audience && said.partner_id === this.partner, "it is not meant for us");
    // The log index is the clock: a key counts between its registration and its revocation.
    const { registered_index: from, revoked_index: until } = this.keys.get(keyId);
    must(BigInt(from) < BigInt(record.log_index), "its key was registered after it");
    must(until === "0" || BigInt(record.log_index) < BigInt(until), "its key was revoked before it");
    if (kind === "reversal-notice") {
      const side = ["source", "target"].find((each) => record[`${each}_partner`] === this.partner);
      // Whoever is neither paid for a bonus: nothing but the record is shown to it.
      opened(said.part, said.part_salt, side ? record[`${side}_part_sha256`] : Buffer.alloc(0));
      if (entry.state === "COMMITTED") checkReversal(record);
      return entry;
    }
    const part = partOf(said, record);
    if (entry.state === "COMMITTED") {
      const basis = checkRecord(record);
      if (part) checkFee(part, basis);
    } else {
      must(kind === "transfer-receipt", "a notice of what was not committed");
    }
    return entry;
  }

  /** The receipt of this very order; `order` is its envelope. */
  receiptOf(order, envelope) {
    const entry = this.entry(envelope);
    must(entry.kind === "transfer-receipt", "not a receipt");
    const { transfer_id: id } = decode(exchange("TransferOrder"), order.payload);
    must(entry.record.transfer_id.equals(id), "another transfer's receipt");
    must(entry.record.order_sha256.equals(sha256(order.payload)), "a receipt of other bytes than we sent");
    return entry;
  }

  /** A quote's figures; throws unless the exchange signed it for this partner. */
  quote(envelope, quoteId) {
    must(envelope.payload_type === payloadType("quote"), "not a quote");
    const keyId = verify(envelope, this.objects);
    const quote = decode(exchange("Quote"), envelope.payload);
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

/** The part that is this side's business alone; null where the record commits to none. */
function partOf(said, record) {
  const side = ["source", "target"].find((each) => `${each}_part` in said);
  if (!side) return null;
  const bytes = opened(said[`${side}_part`], said[`${side}_part_salt`], record[`${side}_part_sha256`]);
  return bytes && decode(exchange(side === "source" ? "SourcePart" : "TargetPart"), bytes);
}

/** The bytes that a digest commits to; null where there are none. */
function opened(bytes, salt, digest) {
  if (!bytes.length && !digest.length) return null;
  must(sha256(salt, bytes).equals(digest), "its part is not the one that the record commits to");
  return bytes;
}

/** The word in the middle of a payload type that is one of ours; otherwise the type itself. */
function kindOf({ payload_type: type }) {
  const word = type.split(".")[2] ?? type;
  return payloadType(word) === type ? word : type;
}

function must(holds, fault) {
  if (!holds) throw new Error(`not a good receipt: ${fault}`);
}
