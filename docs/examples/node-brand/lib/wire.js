// Messages and services, from the .proto files themselves.
//
// A payload that is signed must be the one deterministic encoding of its message. protobufjs writes fields in the
// order of their numbers and varints as short as they can be, but it also writes a field with its default value if it
// is given one: `encode` takes those out.
//
// 64-bit integers are BigInt on our side and decimal strings inside the library. Enums are their names, and bytes are
// Buffers.

import { fileURLToPath } from "node:url";
import grpc from "@grpc/grpc-js";
import protoLoader from "@grpc/proto-loader";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const PROTOS = process.env.POINTCLEAR_PROTOS ?? here("../../../../proto");

const definition = protoLoader.loadSync(
  [
    "pointclear/exchange/v1/exchange_service.proto",
    "pointclear/exchange/v1/quote.proto",
    "pointclear/partners/v1/partners_service.proto",
    "pointclear/partners/v1/program_service.proto",
    here("status.proto"),
  ],
  { includeDirs: [PROTOS], keepCase: true, longs: String, enums: String, defaults: true, oneofs: true },
);
const loaded = grpc.loadPackageDefinition(definition).pointclear;

export const ExchangeService = loaded.exchange.v1.ExchangeService;
export const PartnersService = loaded.partners.v1.PartnersService;
export const ProgramService = loaded.partners.v1.ProgramService;

/** The one deterministic encoding of a message. */
export function encode(name, fields) {
  return definition[name].serialize(withoutDefaults(fields));
}

/** A message's fields; those that were not sent have their defaults, messages among them are null. */
export function decode(name, bytes) {
  return definition[name].deserialize(bytes);
}

/** The same fields, without those that have their default value: those are not encoded. */
export function withoutDefaults(fields) {
  const kept = {};
  for (const [name, value] of Object.entries(fields)) {
    if (value === undefined || value === null || value === "" || value === false) continue;
    if (value === 0 || value === 0n || value.length === 0) continue;
    kept[name] = plain(value);
  }
  return kept;
}

function plain(value) {
  if (typeof value === "bigint") return value.toString();
  if (Buffer.isBuffer(value)) return value;
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === "object" ? withoutDefaults(value) : value;
}

/** A `google.protobuf.Timestamp` of milliseconds since 1970. */
export function toTimestamp(milliseconds) {
  return { seconds: BigInt(Math.floor(milliseconds / 1000)), nanos: (milliseconds % 1000) * 1_000_000 };
}

/** Microseconds since 1970: what a timestamp of this protocol is exact to. */
export function toMicroseconds(timestamp) {
  return BigInt(timestamp.seconds) * 1_000_000n + BigInt(timestamp.nanos) / 1000n;
}
