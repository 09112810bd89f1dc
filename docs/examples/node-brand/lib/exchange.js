// Calls to the exchange over mutual TLS, and what their failures mean.

import grpc from "@grpc/grpc-js";
import { keyIdOf, publicKeyOf } from "./envelope.js";
import { decode, ExchangeService, PartnersService } from "./wire.js";

const TIMEOUT_MS = 10_000;
const DETAIL_TYPES = [
  "google.rpc.ErrorInfo",
  "google.rpc.BadRequest",
  "google.rpc.RetryInfo",
  "pointclear.common.v1.SignedEnvelope",
];

/** The exchange said why not. `retry` says what may be sent again: SAME_ID, NEW_ID or NEVER. */
export class Refused extends Error {
  constructor(message, { reason, field = "", retry, remedy, facts = {}, retryAfterMs = 0, receipt = null }) {
    super(message);
    Object.assign(this, { reason, field, retry, remedy, facts, retryAfterMs });
    /** The signed receipt, where the refusal was recorded. */
    this.receipt = receipt;
  }

  /** A refusal as the details of a failed call tell it. */
  static ofDetails(message, details) {
    const { reason, metadata } = details["google.rpc.ErrorInfo"];
    const { retry, remedy, ...facts } = metadata;
    const field = details["google.rpc.BadRequest"]?.field_violations[0]?.field;
    const delay = details["google.rpc.RetryInfo"]?.retry_delay;
    const retryAfterMs = delay ? Number(delay.seconds) * 1000 + delay.nanos / 1_000_000 : 0;
    const receipt = details["pointclear.common.v1.SignedEnvelope"];
    return new Refused(message, { reason, field, retry, remedy, facts, retryAfterMs, receipt });
  }

  /** A refusal as an item of a response carries it. */
  static ofItem({ reason, field, message, retry, remedy, receipt }) {
    const bare = { reason: reason.replace("REASON_", ""), retry: retry.replace("RETRY_CLASS_", "") };
    return new Refused(message, { ...bare, field, remedy, receipt });
  }
}

/** No answer that means anything: whether the exchange has done it is not known. */
export class Unanswered extends Error {}

/** What a failed call means. */
export function meaningOf(error) {
  const [trailer] = error.metadata?.get("grpc-status-details-bin") ?? [];
  if (!trailer) return new Unanswered(error.message);
  const status = decode("google.rpc.Status", trailer);
  const details = {};
  for (const each of status.details) {
    const name = each.type_url.split("/").pop();
    if (DETAIL_TYPES.includes(name)) details[name] = decode(name, each.value);
  }
  const info = details["google.rpc.ErrorInfo"];
  if (info?.domain !== "pointclear") return new Unanswered(error.message);
  return Refused.ofDetails(status.message, details);
}

/** A connection to the exchange. */
export class Exchange {
  constructor(profile) {
    const { certificate, key } = profile.calling();
    const credentials = grpc.credentials.createSsl(profile.authority, key, certificate);
    this.profile = profile;
    this.exchange = new ExchangeService(profile.server, credentials);
    this.partners = new PartnersService(profile.server, credentials);
  }

  /** Makes one call of ExchangeService. Throws Refused or Unanswered. */
  call(method, request) {
    return unary(this.exchange, method, request);
  }

  /**
   * The exchange's keys for receipts, by key id: those that it no longer uses too.
   *
   * `trusted`, where given, are the key ids that this brand got another way; others do not count.
   */
  async receiptKeys(trusted) {
    const keys = new Map();
    let token = "";
    do {
      const page = await unary(this.partners, "ListKeys", { holder: "exchange", page_token: token });
      if (page.audience !== this.profile.audience) {
        throw new Error(`the server is ${page.audience}, and the profile is for ${this.profile.audience}`);
      }
      for (const each of page.keys) {
        if (each.holder !== "exchange" || each.purpose !== "KEY_PURPOSE_RECEIPTS") continue;
        if (each.key_id !== keyIdOf(each.public_key)) throw new Error(`${each.key_id} is not the key's own id`);
        if (!trusted || trusted.includes(each.key_id)) keys.set(each.key_id, each);
      }
      token = page.next_page_token;
    } while (token);
    return keys;
  }

  close() {
    this.exchange.close();
    this.partners.close();
  }
}

/** What `verify` takes of registered keys. */
export function keyObjects(keys) {
  return new Map([...keys].map(([keyId, key]) => [keyId, publicKeyOf(key.public_key)]));
}

function unary(client, method, request) {
  return new Promise((resolve, reject) => {
    client[method](request, { deadline: Date.now() + TIMEOUT_MS }, (error, response) =>
      error ? reject(meaningOf(error)) : resolve(response),
    );
  });
}
