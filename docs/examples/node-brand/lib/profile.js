// A partner's profile: the folder that it got when it joined.
//
//     profile.json   {"identity": "pointclear://partner/aurora", "server": "localhost:7443", "audience": "..."}
//     ca.pem         the authority that the exchange's certificate must come from
//     tls.pem        this brand's certificate for its calls, and tls-key.pem its key
//     serving-tls.pem, serving-tls-key.pem   the same for a server of its own
//     keys/          orders.pem: the encrypted key that signs orders and confirmations
//     passphrase     of that key

import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { signerOf } from "./envelope.js";

const IDENTITY = /^pointclear:\/\/partner\/([a-z0-9][a-z0-9-]{0,63})$/;

/** Reads a profile; `server` (host:port) overrides the one that it names. */
export function loadProfile(directory, server) {
  const read = (...names) => fs.readFileSync(path.join(directory, ...names));
  const document = JSON.parse(read("profile.json"));
  const partner = IDENTITY.exec(document.identity)?.[1];
  if (!partner) throw new Error(`${directory}: not a partner's profile, but ${document.identity}'s`);
  return {
    partner,
    server: server ?? document.server,
    audience: document.audience,
    authority: read("ca.pem"),
    calling: () => ({ certificate: read("tls.pem"), key: read("tls-key.pem") }),
    serving: () => ({ certificate: read("serving-tls.pem"), key: read("serving-tls-key.pem") }),
    orders: signerOf(
      crypto.createPrivateKey({
        key: read("keys", "orders.pem"),
        passphrase: read("passphrase").toString().trim(),
      }),
    ),
  };
}
