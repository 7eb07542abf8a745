// Talks to the server on the given port as programs with ioredis do; prints what it got as one line of JSON.
"use strict";
const Redis = require("ioredis");

async function main(port) {
  const client = new Redis({ port, host: "127.0.0.1", db: 2, connectionName: "from-ioredis", maxRetriesPerRequest: 0 });
  const result = {};
  result.ping = await client.ping();
  result.name = await client.client("GETNAME");
  result.set = await client.set("text", "Hello Distributed World", "EX", 100, "NX");
  result.text = await client.get("text");
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte));
  await client.set(bytes, bytes);
  result.bytes = bytes.equals(await client.getBuffer(bytes));
  result.pipeline = await client.pipeline().mset({ a: 1, b: 2 }).incrby("a", 41).mget("a", "b", "c").get("text").exec();
  result.error = await client.incr("text").catch((error) => error.message);
  const keys = [];
  for await (const page of client.scanStream({ match: "?", count: 100 })) keys.push(...page);
  result.keys = keys.sort();
  result.settings = await client.config("GET", "databases");
  result.version = /redis_version:(.*)/.exec(await client.info("server"))[1].trim();
  const monitor = await client.monitor();
  const seen = new Promise((resolve) => monitor.on("monitor", (time, words, source, db) => resolve([words, db])));
  await client.echo("watched");
  result.monitored = await seen;
  monitor.disconnect();
  const others = Array.from({ length: 20 }, () => new Redis({ port, host: "127.0.0.1", db: 2 }));
  result.others = await Promise.all(others.map((other, number) => other.incrby(`of:${number}`, number)));
  await Promise.all(others.map((other) => other.quit()));
  result.quit = await client.quit();
  return result;
}

main(Number(process.argv[2])).then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
