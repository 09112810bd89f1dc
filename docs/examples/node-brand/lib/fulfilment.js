// Opens a code or certificate that a program issued in place of points: sealed for the key that signed the order.
//
// HPKE (RFC 9180) in base mode, single shot: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-128-GCM. What is opened is
// worth money to whoever has it: it belongs into no log.

import crypto from "node:crypto";

const [KEM, KDF, AEAD] = [[0x00, 0x20], [0x00, 0x01], [0x00, 0x01]];
const IN_KEM = Buffer.from([...Buffer.from("KEM"), ...KEM]);
const IN_HPKE = Buffer.from([...Buffer.from("HPKE"), ...KEM, ...KDF, ...AEAD]);
const [ENCAPSULATED_BYTES, TAG_BYTES, KEY_BYTES, NONCE_BYTES, SECRET_BYTES] = [32, 16, 16, 12, 32];
const NOTHING = Buffer.alloc(0);

const SECRET_HEAD = Buffer.from("302e020100300506032b656e04220420", "hex");
const PUBLIC_HEAD = Buffer.from("302a300506032b656e032100", "hex");

/** The X25519 form of an Ed25519 private key. */
export function openingKey(privateKey) {
  const seed = Buffer.from(privateKey.export({ format: "jwk" }).d, "base64url");
  // X25519 clamps by itself.
  const secret = crypto.createHash("sha512").update(seed).digest().subarray(0, 32);
  return crypto.createPrivateKey({ key: Buffer.concat([SECRET_HEAD, secret]), format: "der", type: "pkcs8" });
}

/** 32 raw bytes of an X25519 key's public half. */
export function publicBytes(key) {
  return crypto.createPublicKey(key).export({ format: "der", type: "spki" }).subarray(-32);
}

/** What a seal is bound to: it opens for this transfer of this exchange only. */
export function sealInfo(audience, transferId) {
  return Buffer.concat([Buffer.from(`pointclear.fulfilment.v1\0${audience}\0`), transferId]);
}

/** What was sealed; throws where it was sealed for another key or another transfer, or was altered. */
export function open(sealed, key, info) {
  const encapsulated = sealed.subarray(0, ENCAPSULATED_BYTES);
  const ciphertext = sealed.subarray(ENCAPSULATED_BYTES, -TAG_BYTES);
  const ephemeral = Buffer.concat([PUBLIC_HEAD, encapsulated]);
  const publicKey = crypto.createPublicKey({ key: ephemeral, format: "der", type: "spki" });
  const agreed = crypto.diffieHellman({ privateKey: key, publicKey });
  const both = Buffer.concat([encapsulated, publicBytes(key)]);
  const shared = expand(IN_KEM, extract(IN_KEM, NOTHING, "eae_prk", agreed), "shared_secret", both, SECRET_BYTES);
  const hashes = [extract(IN_HPKE, NOTHING, "psk_id_hash", NOTHING), extract(IN_HPKE, NOTHING, "info_hash", info)];
  const context = Buffer.concat([Buffer.from([0]), ...hashes]);
  const secret = extract(IN_HPKE, shared, "secret", NOTHING);
  const nonce = expand(IN_HPKE, secret, "base_nonce", context, NONCE_BYTES);
  const cipher = crypto.createDecipheriv("aes-128-gcm", expand(IN_HPKE, secret, "key", context, KEY_BYTES), nonce);
  cipher.setAuthTag(sealed.subarray(-TAG_BYTES));
  return Buffer.concat([cipher.update(ciphertext), cipher.final()]);
}

/** LabeledExtract of RFC 9180, section 4. */
function extract(suite, salt, label, material) {
  return hmac(salt, Buffer.from("HPKE-v1"), suite, Buffer.from(label), material);
}

/** LabeledExpand; never more than one block of SHA-256 is asked for. */
function expand(suite, key, label, info, length) {
  const head = Buffer.from([0, length, ...Buffer.from("HPKE-v1")]);
  return hmac(key, head, suite, Buffer.from(label), info, Buffer.from([1])).subarray(0, length);
}

function hmac(key, ...parts) {
  const mac = crypto.createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
}
