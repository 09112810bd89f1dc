// ProgramService over mutual TLS: what the exchange calls.
//
// Only signed confirmations are answers. Everything else that goes wrong here ends as a gRPC status, which tells the
// exchange nothing; it asks again.

import grpc from "@grpc/grpc-js";
import { JournalLost } from "./journal.js";
import { NotForUs } from "./program.js";
import { ProgramService } from "./wire.js";

const LARGEST_REQUEST = 65_536;

/** Serves a program; resolves to the server and the port that it took. */
export function serve(program, listen, profile) {
  const { certificate, key } = profile.serving();
  const unary = (answer) => answered(answer, exchangeUri(profile.audience));
  const server = new grpc.Server({ "grpc.max_receive_message_length": LARGEST_REQUEST });
  server.addService(ProgramService.service, {
    ValidateMember: unary((request) => ({ eligibility: `ELIGIBILITY_${program.eligibility(request)}` })),
    GetBalance: unary((request) => ({ points: program.balance(request).toString() })),
    Credit: unary((request) => ({ confirmation: program.credit(request) })),
    Reverse: unary((request) => ({ confirmation: program.reverse(request) })),
    LookUp: unary((request) => ({ confirmation: program.lookUp(request) })),
  });
  const ours = [{ private_key: key, cert_chain: certificate }];
  const credentials = grpc.ServerCredentials.createSsl(profile.authority, ours, true);
  return new Promise((resolve, reject) => {
    server.bindAsync(listen, credentials, (error, port) => (error ? reject(error) : resolve({ server, port })));
  });
}

function answered(answer, exchange) {
  return (call, callback) => {
    try {
      mustBe(exchange, call);
      callback(null, answer(call.request));
    } catch (error) {
      const known = error instanceof NotForUs || error instanceof Stranger;
      if (!known) process.stderr.write(`${error.stack}\n`);
      callback({ code: codeOf(error), details: known ? error.message : "not answered" });
      // After a start from the file, memory and file say the same again.
      if (error instanceof JournalLost) process.exit(1);
    }
  };
}

class Stranger extends Error {}

function codeOf(error) {
  if (error instanceof NotForUs) return grpc.status.INVALID_ARGUMENT;
  return error instanceof Stranger ? grpc.status.PERMISSION_DENIED : grpc.status.INTERNAL;
}

/** The URI in the certificate with which an exchange calls brands. */
function exchangeUri(audience) {
  return `pointclear://exchange/${audience.split("/").map(encodeURIComponent).join("/")}`;
}

/** The same authority signs partners' certificates: only the exchange may give points. */
function mustBe(exchange, call) {
  const names = call.getAuthContext().sslPeerCertificate?.subjectaltname ?? "";
  const uris = names.split(", ").filter((name) => name.startsWith("URI:"));
  if (uris.length !== 1 || uris[0] !== `URI:${exchange}`) throw new Stranger("only the exchange may call");
}
