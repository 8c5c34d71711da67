import { devNull } from "node:os";
import type { LocalGlueOptions } from "../options";
import type { Session } from "./credentials";

/** Variables that a job must not inherit: the user's AWS account, and settings of other Pythons, Javas and Sparks. */
const NOT_INHERITED =
  /^(AWS_|AMAZON_|PYTHON|PYSPARK|SPARK_|HADOOP_|HIVE_|JAVA_|JDK_|_JAVA|CLASSPATH$|VIRTUAL_ENV|CONDA|NODE_|npm_|PULUMI_|MINISTACK_|GATEWAY_PORT$|EDGE_PORT$|BIND_HOST$)/i;

/** The environment of a job's process: AWS calls go to the emulator or the local Glue, and time is UTC, as in Glue. */
export function jobEnvironment(
  options: LocalGlueOptions,
  session: Session,
  glueEndpoint: string,
  tempDir: string,
): NodeJS.ProcessEnv {
  return {
    ...inherited(),
    ...locale(process.env),
    TZ: "UTC",
    TMPDIR: tempDir,
    PYTHONUNBUFFERED: "1",
    PYTHONUTF8: "1",
    AWS_REGION: options.region,
    AWS_DEFAULT_REGION: options.region,
    ...sessionVariables(session),
    AWS_CONFIG_FILE: devNull,
    AWS_SHARED_CREDENTIALS_FILE: devNull,
    AWS_EC2_METADATA_DISABLED: "true",
    AWS_ENDPOINT_URL: options.jobEndpoint ?? options.emulatorEndpoint,
    AWS_ENDPOINT_URL_GLUE: glueEndpoint,
    // Calls to the emulator must not go to a proxy of the user's environment.
    NO_PROXY: withLoopback(process.env.NO_PROXY ?? process.env.no_proxy),
    no_proxy: withLoopback(process.env.no_proxy ?? process.env.NO_PROXY),
    ...(options.javaHome ? { JAVA_HOME: options.javaHome } : {}),
    ...options.env,
  };
}

/** The variables with a run's credentials. */
export function sessionVariables(session: Session): Record<string, string> {
  return {
    AWS_ACCESS_KEY_ID: session.accessKeyId,
    AWS_SECRET_ACCESS_KEY: session.secretAccessKey,
    AWS_SESSION_TOKEN: session.sessionToken,
  };
}

/** The environment of pip: the user's, with index and proxy settings, without settings of other Pythons. */
export function installerEnvironment(): NodeJS.ProcessEnv {
  return { ...inherited(), PYTHONUTF8: "1" };
}

function inherited(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !NOT_INHERITED.test(key)));
}

/** Java reads its command line in the locale's encoding: without UTF-8, arguments in other scripts would be lost. */
function locale(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const current = env.LC_ALL || env.LC_CTYPE || env.LANG || "";
  if (/utf-?8/i.test(current)) return {};
  return { LC_ALL: process.platform === "darwin" ? "en_US.UTF-8" : "C.UTF-8" };
}

function withLoopback(hosts = ""): string {
  return [...hosts.split(",").filter(Boolean), "127.0.0.1", "localhost", "::1"].join(",");
}
