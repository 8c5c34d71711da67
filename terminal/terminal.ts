import path from "node:path";
import { Command, CommanderError } from "commander";
import { describeError, runCommand } from "./errors";

/** What a command may know of the world it is started in; tests give one that remembers. */
export interface Terminal {
  /** Results: stdout, as given. Resolves when there is room for more. */
  out(text: string): Promise<void> | void;
  /** What goes on: stderr, a line. */
  note(line: string): void;
  /** Whether a person watches stderr, so that a moving bar makes sense. */
  interactive: boolean;
  env: NodeJS.ProcessEnv;
  /** The project's root. */
  root: string;
  /** The folder that relative paths of arguments start from. */
  cwd: string;
}

const root = path.resolve(__dirname, "..");

/** npm runs scripts in the project's root, and leaves the folder in which the person stood in INIT_CWD. */
function standingIn(): string {
  const here = process.cwd();
  return here === root && process.env.npm_lifecycle_event && process.env.INIT_CWD ? process.env.INIT_CWD : here;
}

function processTerminal(): Terminal {
  return {
    out: (text) => {
      if (process.stdout.write(text)) return;
      return new Promise((resolve) => process.stdout.once("drain", resolve));
    },
    note: (line) => void process.stderr.write(`${line}\n`),
    interactive: process.stderr.isTTY === true && !process.env.CI,
    env: process.env,
    root,
    cwd: standingIn(),
  };
}

/** What a command is: its arguments in, its exit code out. */
export type Main = (args: string[], terminal: Terminal) => Promise<number>;

/**
 * The start of a command's grammar: its help and its errors go to the terminal, and it throws (CommanderError) instead of
 * exiting. `program` is what a person types to start it, such as `music-streams drop`.
 */
export function commandLine(program: string, terminal: Terminal): Command {
  return new Command(program)
    .exitOverride()
    .showHelpAfterError("(--help tells more)")
    .configureOutput({
      writeOut: (text) => void terminal.out(text),
      writeErr: (text) => terminal.note(text.trimEnd()),
    });
}

/**
 * Runs a command and returns its exit code: that of the command, 1 after an error (its message is on stderr) or wrong arguments,
 * 0 for --help. Never throws.
 */
export async function exitCodeOf(main: Main, args: string[], terminal: Terminal): Promise<number> {
  try {
    return await main(args, terminal);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode;
    terminal.note(describeError(error));
    return 1;
  }
}

/** Runs a command as this process when its file is the one that was started. */
export function runAsProgram(main: Main): Promise<void> {
  return runCommand(() => exitCodeOf(main, process.argv.slice(2), processTerminal()));
}
