#!/usr/bin/env node
// A small brand: sends orders to the exchange, and runs a points program that the exchange calls.

import { parseArgs } from "node:util";
import { Exchange, Refused, Unanswered } from "./lib/exchange.js";
import { Orders, UNDECIDED } from "./lib/orders.js";
import { loadProfile } from "./lib/profile.js";
import { Program } from "./lib/program.js";
import { serve } from "./lib/service.js";

const USAGE = `node brand.js COMMAND [options]

  keys       show the exchange's keys for receipts: compare their ids with those that you were given another way
  order      make an order, store it, send it, verify its receipt
               --target PROGRAM --points N --source-member ID --target-member ID
               [--source PROGRAM] [--segment ID] [--reference TEXT] [--quote] [--hold]
             --quote orders at a quote; --hold stores the order and does not send it
  resume     send all stored orders that have no answer, or that wait for one, again: the same bytes
  fulfilment open the code that came in place of points: --transfer ID
  stream     read, verify and store what is new in the stream of receipts and notices
  enrol      make people members of the program, while it does not run: [--ineligible] MEMBER...
  serve      run the program: [--program NAME] [--listen HOST:PORT]

  --profile DIR      the folder that this brand got when it joined
  --server HOST:PORT another server than the profile's
  --journal FILE     what was stored: program.jsonl for enrol and serve, orders.jsonl for the others
  --trust ID,ID      take no other keys of the exchange than these

Each answer is one line of JSON. Exit codes: 0 done, 1 refused or not to be believed, 2 usage, 3 no answer, 4 an order
waits to be decided: resume it later.
`;
const OPTIONS = {
  ...Object.fromEntries(
    ["profile", "server", "journal", "trust", "transfer", "target", "source", "points", "segment", "reference"]
      .concat(["source-member", "target-member", "program", "listen"])
      .map((name) => [name, { type: "string" }]),
  ),
  quote: { type: "boolean" },
  hold: { type: "boolean" },
  ineligible: { type: "boolean" },
  help: { type: "boolean" },
};

/** How long calls under way may take when the program is stopped. */
const LAST_CALLS_MS = 2000;

class Usage extends Error {}

/** Prints one line of JSON. */
function show(document) {
  const text = (_, value) => (typeof value === "bigint" ? value.toString() : value);
  process.stdout.write(`${JSON.stringify(document, text)}\n`);
}

/** An id as people write it. */
function uuidText(hex) {
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, "$1-$2-$3-$4-$5");
}

function shown(transferId, order) {
  const { state = "UNKNOWN", reason = "", record, refusal } = order;
  return {
    transfer_id: uuidText(transferId),
    state,
    reason,
    ...(refusal && { field: refusal.field, retry: refusal.retry, remedy: refusal.remedy, facts: refusal.facts }),
    ...(record && { source_points: record.source_points, target_points: record.target_points }),
    ...(record && { log_index: record.log_index, value: record.value, currency: record.settlement_currency }),
  };
}

async function withOrders(options, work) {
  const profile = loadProfile(needed(options, "profile"), options.server);
  const exchange = new Exchange(profile);
  try {
    const orders = new Orders(profile, exchange, options.journal ?? "orders.jsonl");
    await orders.start(options.trust?.split(","));
    return await work(orders, profile);
  } finally {
    exchange.close();
  }
}

const COMMANDS = {
  async keys(options) {
    const exchange = new Exchange(loadProfile(needed(options, "profile"), options.server));
    for (const key of (await exchange.receiptKeys()).values()) {
      const { key_id: keyId, registered_index: registered, revoked_index: revoked } = key;
      show({ key_id: keyId, public_key: key.public_key.toString("hex"), registered, revoked });
    }
    exchange.close();
  },

  order: (options) =>
    withOrders(options, async (orders, profile) => {
      const wanted = {
        source: options.source ?? profile.partner,
        target: needed(options, "target"),
        points: BigInt(needed(options, "points")),
        segment: options.segment,
        sourceMember: needed(options, "source-member"),
        targetMember: needed(options, "target-member"),
        reference: options.reference,
      };
      const terms = options.quote ? await orders.quote(wanted) : await orders.simulate(wanted);
      const transferId = orders.make(wanted, terms);
      if (options.hold) return show(shown(transferId, orders.orders.get(transferId)));
      const order = await orders.send(transferId);
      show(shown(transferId, order));
      process.exitCode = UNDECIDED.includes(order.state) ? 4 : order.state === "COMMITTED" ? 0 : 1;
    }),

  resume: (options) =>
    withOrders(options, async (orders) => {
      for (const transferId of orders.pending()) show(shown(transferId, await orders.send(transferId)));
    }),

  fulfilment: (options) =>
    withOrders(options, async (orders) => {
      const transferId = needed(options, "transfer").replaceAll("-", "");
      const opened = await orders.fulfilment(transferId);
      show({ transfer_id: uuidText(transferId), fulfilment: opened && opened.toString() });
    }),

  stream: (options) =>
    withOrders(options, async (orders) => {
      for (const { streamSeq, transferId, state, reason, kind } of await orders.readStream()) {
        const id = uuidText(transferId);
        // A receipt of an order that is not in this journal: another of our systems sent it, or somebody has our key.
        const known = kind !== "transfer-receipt" || orders.orders.has(transferId);
        show({ stream_seq: streamSeq, kind, transfer_id: id, state, reason, known });
      }
      show({ verified_until: orders.chain.seq, sha256: orders.chain.sha256.toString("hex") });
    }),

  async enrol(options, members) {
    if (!members.length) throw new Usage("name the members");
    const program = new Program(null, "", options.journal ?? "program.jsonl");
    const eligibility = options.ineligible ? "INELIGIBLE" : "ELIGIBLE";
    for (const member of members) program.enrol(member, eligibility);
    show({ enrolled: members.length, eligibility });
  },

  async serve(options) {
    const profile = loadProfile(needed(options, "profile"));
    const name = options.program ?? profile.partner;
    const program = new Program(profile, name, options.journal ?? "program.jsonl");
    const listen = options.listen ?? "127.0.0.1:7543";
    const { server, port } = await serve(program, listen, profile);
    const address = `${listen.slice(0, listen.lastIndexOf(":"))}:${port}`;
    show({ event: "ready", address, program: name, instructions: program.answers.size });
    for (const signal of ["SIGINT", "SIGTERM"]) {
      process.on(signal, () => {
        server.tryShutdown(() => process.exit(0));
        // A connection that never was one would hold it up for ever. What was answered is on the disk.
        setTimeout(() => process.exit(0), LAST_CALLS_MS);
      });
    }
  },
};

function needed(options, name) {
  if (!options[name]) throw new Usage(`--${name} is needed`);
  return options[name];
}

async function main() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (values.help) return process.stdout.write(USAGE);
  const [name = "", ...members] = positionals;
  if (!Object.hasOwn(COMMANDS, name)) throw new Usage("name a command");
  if (members.length && name !== "enrol") throw new Usage(`${name} takes options only`);
  await COMMANDS[name](values, members);
}

main().catch((error) => {
  const { reason, field, retry, remedy } = error;
  process.stderr.write(`${JSON.stringify({ error: error.message, reason, field, retry, remedy })}\n`);
  const isUsage = error instanceof Usage || error.code?.startsWith?.("ERR_PARSE_ARGS");
  if (isUsage) process.stderr.write(`\n${USAGE}`);
  const noAnswer = error instanceof Unanswered || (error instanceof Refused && error.retry === "SAME_ID");
  process.exitCode = isUsage ? 2 : noAnswer ? 3 : 1;
});
