// What a client's script is told and what it says: questions as JSON in, answers as JSON out; as ../asking.py has it.
import { readFileSync } from "node:fs";

const versionOf = (name) => JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url))).version;

export async function answer(clients) {
  const told = JSON.parse(readFileSync(0, "utf8"));
  const answers = new Array(told.questions.length);
  const left = told.questions.map((question, place) => [question, place]);
  const worker = async () => {
    for (let next = left.shift(); next; next = left.shift()) answers[next[1]] = await ask(clients, next[0]);
  };
  await Promise.all(Array.from({ length: told.at_once }, worker));
  const versions = Object.fromEntries(told.packages.map((name) => [name, versionOf(name)]));
  process.stdout.write(JSON.stringify({ versions, answers }), () => process.exit(0));
}

// The value, or what was raised. Of many vectors a few and their number, which is all that is looked at.
async function ask(clients, question) {
  let value;
  try {
    value = await clients[question.client][question.operation]({ url: question.url, key: question.key }, question.arguments);
  } catch (error) {
    return { raised: error.constructor.name, message: String(error.message) };
  }
  if (question.keep) return { count: value.length, value: question.keep.map((place) => value[place]) };
  return { value };
}
