import { rmSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { installRuntimePython } from "../local/toolchain/install.cjs";
import { interrupted } from "../terminal/exit-codes.cjs";
import { count, counted, printable } from "../terminal/format";
import type { Terminal } from "../terminal/terminal";
import { type CheckName, checkNames, checks, Findings } from "./audit/findings";
import { Source } from "./audit/source";
import { type Busy, isExcused, walk } from "./audit/walk";
import { Worker } from "./audit/worker";
import { openTarget, type Target } from "./target";

interface Options {
  deep?: boolean;
  json?: boolean;
  stack?: string;
}

/** `audit`: checks the invariants of docs/audit.md on a pipeline, and lists each breach. */
export async function run(_: string[], options: Options, terminal: Terminal): Promise<number> {
  const target = await openTarget({ ...terminal, stack: options.stack });
  const python = await installRuntimePython(path.resolve(__dirname, ".."), (line) => terminal.note(line));
  return audit(target, python, options, terminal);
}

async function audit(target: Target, python: string, options: Options, terminal: Terminal): Promise<number> {
  const deep = options.deep === true;
  const folder = await mkdtemp(path.join(tmpdir(), "music-streams-audit-"));
  const worker = new Worker(python, path.join(folder, "python"));
  const stopAtOnce = () => {
    worker.stop();
    rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    process.exit(interrupted);
  };
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.once(signal, stopAtOnce);
  const findings = new Findings(folder);
  try {
    const source = new Source(target);
    const note = (line: string) => terminal.note(line);
    const busy = await walk({ source, worker, findings, folder, note }, deep);
    const names = checkNames.filter((name) => name !== "deep" || deep);
    return options.json ? await showJson(names, findings, busy, terminal) : await show(names, findings, busy, terminal);
  } finally {
    for (const signal of signals) process.removeListener(signal, stopAtOnce);
    worker.stop();
    findings.close();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Prints a line for each check with its breaches below it, then the information, then a summary. Returns the exit code.
 */
async function show(names: CheckName[], findings: Findings, busy: Busy, terminal: Terminal): Promise<number> {
  let [all, withBreaches] = [0, 0];
  const excused = new Map<CheckName, number>();
  for (const name of names) {
    const number = await countBreaches(name, findings, busy, excused);
    const verdict = number === 0 ? "no breach" : breachesText(number);
    await terminal.out(`${number === 0 ? "✔" : "✖"} ${name.padEnd(8)} ${lookedText(name, findings)}: ${verdict}\n`);
    for await (const breach of findings.breaches(name)) {
      if (isExcused(breach, busy)) continue;
      const { what, where, expected, found, remedy } = breach;
      await terminal.out(
        `    ${printable(`${what}: ${where}; expected: ${expected}; found: ${found}; to do: ${remedy}`)}\n`,
      );
    }
    all += number;
    withBreaches += number > 0 ? 1 : 0;
  }
  for (const { check, text, count: times } of information(findings, busy, excused))
    await terminal.out(`ℹ ${check.padEnd(8)} ${printable(text)}: ${count(times)}\n`);
  const ofChecks = counted(names.length, "check");
  await terminal.out(
    all === 0
      ? `No breach in ${ofChecks}.\n`
      : `${breachesText(all)} in ${withBreaches} of ${ofChecks}. docs/audit.md says what each check proves.\n`,
  );
  return all === 0 ? 0 : 1;
}

/** Prints the same as one JSON object, piece by piece, so that any number of breaches fits. */
async function showJson(names: CheckName[], findings: Findings, busy: Busy, terminal: Terminal): Promise<number> {
  const excused = new Map<CheckName, number>();
  let all = 0;
  const summary: Record<string, unknown>[] = [];
  for (const name of names) {
    const breaches = await countBreaches(name, findings, busy, excused);
    summary.push({ check: name, proves: checks[name], looked: Object.fromEntries(findings.looked[name]), breaches });
    all += breaches;
  }
  await terminal.out(`{"checks":${JSON.stringify(summary)},\n"breaches":[`);
  let separator = "\n";
  for (const name of names) {
    for await (const breach of findings.breaches(name)) {
      if (isExcused(breach, busy)) continue;
      await terminal.out(separator + JSON.stringify(breach));
      separator = ",\n";
    }
  }
  await terminal.out(`],\n"information":${JSON.stringify(information(findings, busy, excused))}}\n`);
  return all === 0 ? 0 : 1;
}

async function countBreaches(
  name: CheckName,
  findings: Findings,
  busy: Busy,
  excused: Map<CheckName, number>,
): Promise<number> {
  let number = 0;
  for await (const breach of findings.breaches(name)) {
    if (isExcused(breach, busy)) excused.set(name, (excused.get(name) ?? 0) + 1);
    else number += 1;
  }
  return number;
}

/** The notes, and what the audit left out because the pipeline worked on it meanwhile. */
function information(findings: Findings, busy: Busy, excused: Map<CheckName, number>) {
  const notes = [...findings.information];
  const days = busy.days.size === 0 ? "" : `, and the rows and metrics of its ${counted(busy.days.size, "day")}`;
  for (const [batch, what] of busy.batches)
    notes.push({ check: "ledger", text: `batch ${batch} is not audited (${what})${days}`, count: 1 });
  for (const [check, number] of excused)
    notes.push({
      check,
      text: "findings left out, because the pipeline is working on what they are about",
      count: number,
    });
  return notes;
}

function breachesText(number: number): string {
  return counted(number, "breach", "breaches");
}

function lookedText(name: CheckName, findings: Findings): string {
  const looked = [...findings.looked[name]].filter(([, number]) => number > 0);
  return looked.length === 0
    ? "nothing there"
    : looked.map(([what, number]) => counted(number, what.replace(/(?<=batch)es$|s$/, ""), what)).join(", ");
}
