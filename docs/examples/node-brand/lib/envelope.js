// Signed envelopes (DSSE v1.0.2) with Ed25519 keys of Node's own crypto.
//
// A payload is verified as the bytes that came, and stored and sent on as those bytes. Nothing is parsed before its
// signature is good, and nothing is ever serialised again to check one.

import crypto from "node:crypto";

const PUBLIC_KEY_BYTES = 32;

export const payloadType = (name) => `application/vnd.pointclear.${name}.v1+protobuf`;

export const sha256 = (...parts) => {
  const hash = crypto.createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};

/** The pre-authentication encoding: the bytes that are signed. */
export function pae(type, payload) {
  const head = `DSSEv1 ${Buffer.byteLength(type)} ${type} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

/** A key's name: the first 32 hex digits of the SHA-256 of its 32 raw bytes. */
export function keyIdOf(raw) {
  return sha256(raw).toString("hex").slice(0, 32);
}

/** The public key of 32 raw bytes. */
export function publicKeyOf(raw) {
  if (raw.length !== PUBLIC_KEY_BYTES) throw new Error("an Ed25519 public key has 32 bytes");
  const jwk = { kty: "OKP", crv: "Ed25519", x: raw.toString("base64url") };
  return crypto.createPublicKey({ key: jwk, format: "jwk" });
}

/** Signs with a private key; knows its name. */
export function signerOf(privateKey) {
  if (privateKey.asymmetricKeyType !== "ed25519") throw new Error("the key is not an Ed25519 key");
  const raw = Buffer.from(crypto.createPublicKey(privateKey).export({ format: "jwk" }).x, "base64url");
  return { keyId: keyIdOf(raw), privateKey, sign: (message) => crypto.sign(null, message, privateKey) };
}

/** An envelope with one signature, in the form of `pointclear.common.v1.SignedEnvelope`. */
export function sign(signer, type, payload) {
  const signature = signer.sign(pae(type, payload));
  return { payload_type: type, payload, signatures: [{ key_id: signer.keyId, signature }] };
}

/** The one signature's key id, once it has verified. `keys`: public keys (KeyObjects) by key id. */
export function verify(envelope, keys) {
  if (envelope.signatures.length !== 1) throw new Error("the envelope has not exactly one signature");
  const [{ key_id: keyId, signature }] = envelope.signatures;
  const key = keys.get(keyId);
  if (!key) throw new Error(`no key ${keyId} is known for ${envelope.payload_type}`);
  if (!crypto.verify(null, pae(envelope.payload_type, envelope.payload), key, signature)) {
    throw new Error(`the signature by key ${keyId} does not fit`);
  }
  return keyId;
}

/** DSSE's JSON form. */
export function toJson(envelope) {
  return {
    payload: envelope.payload.toString("base64"),
    payloadType: envelope.payload_type,
    signatures: envelope.signatures.map((each) => ({
      keyid: each.key_id,
      sig: each.signature.toString("base64"),
    })),
  };
}

/** The envelope of DSSE's JSON form. */
export function fromJson(document) {
  return {
    payload_type: document.payloadType,
    payload: Buffer.from(document.payload, "base64"),
    signatures: document.signatures.map((each) => ({
      key_id: each.keyid,
      signature: Buffer.from(each.sig, "base64"),
    })),
  };
}

/** Whether two envelopes are the same to the byte. */
export function sameEnvelope(one, other) {
  return JSON.stringify(toJson(one)) === JSON.stringify(toJson(other));
}
