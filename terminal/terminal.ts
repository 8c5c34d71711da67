import path from "node:path";
import { Command, CommanderError } from "commander";
import { canRedraw } from "./colours";
import { describeError, exitCodeOfError, runCommand, UsageError } from "./errors";
import { done, wrongUsage } from "./exit-codes.cjs";
import { printableLines } from "./format";

/** A command's view of its terminal and environment. Tests pass one that records the output. */
export interface Terminal {
  /**
   * Writes results to stdout: unchanged to a file or pipe, printable to a terminal, which takes no bytes. Resolves when
   * there is room.
   */
  out(text: string | Uint8Array): Promise<void> | void;
  /** Writes a progress line to stderr, printable. */
  note(line: string): void;
  /** Whether stderr is a terminal that can show a progress bar: not with TERM=dumb, and not in CI. */
  interactive: boolean;
  env: NodeJS.ProcessEnv;
  /** The project's root. */
  root: string;
  /** The folder in which relative paths of arguments start. */
  cwd: string;
}

const root = path.resolve(__dirname, "..");

/** The folder in which the user started the command. npm runs scripts in the root, and sets INIT_CWD to that folder. */
function userFolder(): string {
  const here = process.cwd();
  return here === root && process.env.npm_lifecycle_event && process.env.INIT_CWD ? process.env.INIT_CWD : here;
}

/** A stream such as `process.stdout`. */
export type Output = Pick<NodeJS.WriteStream, "isTTY" | "write" | "once">;

export function processTerminal(stdout: Output = process.stdout, stderr: Output = process.stderr): Terminal {
  return {
    out: (text) => {
      if (stdout.isTTY && typeof text !== "string")
        throw new UsageError("This format is not for a terminal. Give a file with --out, or redirect the output.");
      if (stdout.write(stdout.isTTY ? printableLines(text as string) : text)) return;
      return new Promise((resolve) => stdout.once("drain", resolve));
    },
    note: (line) => void stderr.write(`${printableLines(line)}\n`),
    interactive: canRedraw(stderr, process.env),
    env: process.env,
    root,
    cwd: userFolder(),
  };
}

/** A command: takes its arguments, returns its exit code. */
export type Main = (args: string[], terminal: Terminal) => Promise<number>;

/**
 * A new command line: help and errors go to the terminal, and it throws CommanderError instead of exiting. `program` is
 * what a person types to start it, such as `music-streams drop`.
 */
export function commandLine(program: string, terminal: Terminal): Command {
  return new Command(program)
    .exitOverride()
    .showHelpAfterError("(add --help for usage)")
    .configureOutput({
      writeOut: (text) => void terminal.out(text),
      writeErr: (text) => terminal.note(text.trimEnd()),
    });
}

/**
 * Runs a command and returns its exit code: 0 for --help, the command's own, or that of the error (with a message on
 * stderr). Never throws.
 */
export async function exitCodeOf(main: Main, args: string[], terminal: Terminal): Promise<number> {
  try {
    return await main(args, terminal);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? done : wrongUsage;
    terminal.note(describeError(error));
    return exitCodeOfError(error);
  }
}

/** Runs a command as this process, with the process's arguments and terminal. */
export function runAsProgram(main: Main): Promise<void> {
  return runCommand(() => exitCodeOf(main, process.argv.slice(2), processTerminal()));
}
