// What an application with ioredis does: a queue, a session, a leader board, a transaction, news. Prints what it got as one
// line of JSON.
"use strict";
const Redis = require("ioredis");

async function main(port) {
  const client = new Redis({ port, host: "127.0.0.1" });
  const other = new Redis({ port, host: "127.0.0.1" });
  const result = {};
  const job = other.blpop("jobs", 0);
  await client.rpush("jobs", "first", "second");
  result.job = await job;
  await client.hset("session:7", { user: "ada", visits: 1 });
  await client.hincrby("session:7", "visits", 1);
  result.session = await client.hgetall("session:7");
  await client.zadd("board", 1, "ada", 2.5, "bob");
  result.board = await client.zrevrange("board", 0, -1, "WITHSCORES");
  await client.sadd("tags", "a", "b", "c");
  result.tags = [];
  for await (const page of client.sscanStream("tags")) result.tags.push(...page);
  result.tags.sort();
  result.transaction = await client.multi().incr("n").lpop("jobs").exec();
  await client.watch("n");
  await other.incr("n");
  result.broken = await client.multi().incr("n").exec();
  const heard = new Promise((resolve) => other.on("pmessage", (...words) => resolve(words)));
  await other.psubscribe("news.*");
  await client.publish("news.today", "rain");
  result.heard = await heard;
  await Promise.all([client.quit(), other.quit()]);
  return result;
}

main(Number(process.argv[2])).then(
  (result) => console.log(JSON.stringify(result)),
  (error) => {
    console.error(error);
    process.exit(1);
  },
);
