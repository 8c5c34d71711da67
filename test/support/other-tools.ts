/** A command of a tool that is not the project's own, as far as the docs use it. */
interface Usage {
  options: string[];
  /** The words after the command, as patterns. */
  words?: RegExp[];
}

const file = /^(file:\/\/|s3:\/\/)?\S+$/;

/**
 * The commands of other tools that the docs show. They need an account, a network or an engine, so no test runs them
 * as they stand. test/docs/commands.test.ts refuses any other command and option. test/engine/commands.test.ts looks
 * those of Pulumi up in its CLI. Those of the AWS CLI are in its Command Reference.
 */
export const OTHER_TOOLS: Record<string, Usage> = {
  "npm ci": { options: [] },
  "git pull": { options: [] },
  "git checkout": { options: [], words: [/^TAG$/] },
  "pulumi login": { options: [] },
  "pulumi new": { options: ["--name"], words: [/^https:\/\/github\.com\/OWNER\/music-streams$/] },
  "pulumi up": { options: ["--stack", "--policy-pack"] },
  "pulumi destroy": { options: ["--exclude", "--remove"] },
  "pulumi stack init": { options: [], words: [/^\w+$/] },
  "pulumi stack output": { options: [], words: [/^\w+$/] },
  "pulumi config set": { options: [], words: [/^\w+$/, /./] },
  "aws s3 cp": { options: [], words: [file, file] },
  "aws dynamodb restore-table-to-point-in-time": {
    options: ["--source-table-name", "--target-table-name", "--restore-date-time"],
  },
  "aws dynamodb get-item": { options: ["--table-name", "--key", "--query"] },
  "aws dynamodb query": {
    options: [
      ...["--table-name", "--key-condition-expression", "--expression-attribute-values", "--query", "--output"],
    ],
  },
  "aws dynamodb put-item": { options: ["--table-name", "--item"] },
};

/** Options that stand alone. All others take the next word. */
const FLAGS = ["--remove"];

/** Returns what is wrong with the command line of another tool, if anything. */
export function wrongUsageOf(call: string[]): string | undefined {
  const name = [4, 3, 2].map((words) => call.slice(0, words).join(" ")).find((one) => one in OTHER_TOOLS);
  if (name === undefined) return "no such command in test/support/other-tools.ts";
  const { options, words = [] } = OTHER_TOOLS[name]!;
  const rest = call.slice(name.split(" ").length);
  const found: string[] = [];
  while (rest.length > 0) {
    const word = rest.shift()!;
    if (!word.startsWith("--")) found.push(word);
    else if (!options.includes(word)) return `${name} has no option ${word} in test/support/other-tools.ts`;
    else if (!FLAGS.includes(word) && rest.shift() === undefined) return `${word} needs a value`;
  }
  if (found.length !== words.length) return `${name} takes ${words.length} words, not ${found.length}`;
  return words.every((pattern, index) => pattern.test(found[index]!)) ? undefined : `${name}: ${found.join(" ")}`;
}
