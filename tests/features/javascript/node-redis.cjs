// Talks to the server on the given port, in the given protocol, as programs with node-redis do; prints one line of JSON.
"use strict";
const { createClient, RESP_TYPES } = require("redis");

async function main(port, protocol) {
  const options = { socket: { port, host: "127.0.0.1", reconnectStrategy: false }, RESP: protocol, database: 2 };
  const client = createClient({ ...options, name: "from-node-redis" });
  client.on("error", (error) => {
    throw error;
  });
  await client.connect();
  const result = {};
  result.ping = await client.ping();
  result.name = await client.clientGetName();
  const own = await client.clientInfo();
  result.library = [own.libName, own.libVer !== undefined, own.db];
  result.set = await client.set("text", "Hello Distributed World", { EX: 100, NX: true });
  result.text = await client.get("text");
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  const binary = client.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
  await binary.set(bytes, bytes);
  result.bytes = bytes.equals(await binary.get(bytes));
  // Requests of one turn of the event loop are sent as one pipeline.
  result.pipeline = await Promise.all([client.mSet({ a: "1", b: "2" }), client.incrBy("a", 41), client.mGet(["a", "b", "c"])]);
  result.error = await client.incr("text").catch((error) => error.message);
  const keys = [];
  for await (const page of client.scanIterator({ MATCH: "?", COUNT: 100 })) keys.push(...page);
  result.keys = keys.sort();
  result.settings = await client.configGet("databases");
  result.documented = (await client.commandInfo(["get"]))[0].name;
  result.count = (await client.commandCount()) > 50;
  result.usage = (await client.memoryUsage("text")) > 23;
  result.encoding = await client.objectEncoding("text");
  result.slowlog = typeof (await client.sendCommand(["SLOWLOG", "LEN"]));
  const others = await Promise.all(Array.from({ length: 20 }, () => createClient(options).connect()));
  result.others = await Promise.all(others.map((other, number) => other.incrBy(`of:${number}`, number)));
  await Promise.all(others.map((other) => other.close()));
  await client.close();
  return result;
}

main(Number(process.argv[2]), Number(process.argv[3])).then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
