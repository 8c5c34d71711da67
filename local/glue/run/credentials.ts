import { GetRoleCommand, IAMClient } from "@aws-sdk/client-iam";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { LaunchError } from "../errors";
import type { LocalGlueOptions } from "../options";

/** The credentials with which a job run calls AWS. */
export interface Session {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

const SERVICE = "glue.amazonaws.com";

/** Assumes the role of the job for each run, as Glue does. */
export class RoleSessions {
  private readonly iam: IAMClient;
  private readonly sts: STSClient;

  constructor({ emulatorEndpoint: endpoint, region, credentials }: LocalGlueOptions) {
    const client = { endpoint, region, credentials };
    this.iam = new IAMClient(client);
    this.sts = new STSClient(client);
  }

  /**
   * Opens a session of a role, given by name or ARN. Glue renews a run's session. Here one session lasts for the whole
   * run: the emulator does not apply STS's limit of twelve hours.
   * @throws LaunchError when Glue may not assume the role
   */
  async open(role: string, seconds: number): Promise<Session> {
    try {
      const RoleName = role.slice(role.lastIndexOf("/") + 1);
      const { Role } = await this.iam.send(new GetRoleCommand({ RoleName }));
      // The call below is made as root: the emulator allows it for a role that trusts any service.
      if (!trusted(Role!.AssumeRolePolicyDocument).includes(SERVICE)) throw new Error(`it does not trust ${SERVICE}`);
      const request = { RoleArn: Role!.Arn, RoleSessionName: "GlueJobRunnerSession", DurationSeconds: seconds };
      const { Credentials: found } = await this.sts.send(new AssumeRoleCommand(request));
      return {
        accessKeyId: found!.AccessKeyId!,
        secretAccessKey: found!.SecretAccessKey!,
        sessionToken: found!.SessionToken!,
      };
    } catch (error) {
      if (isUnanswered(error)) throw new LaunchError(`LAUNCH ERROR | No session of role ${role}: ${error.code}`);
      const why = (error as Error).message || (error as Error).name;
      throw new LaunchError(`Role ${role} should be given assume role permissions for Glue Service. (${why})`);
    }
  }

  close(): void {
    this.iam.destroy();
    this.sts.destroy();
  }
}

/**
 * The services that may assume a role, by its trust policy: percent-encoded JSON. A value may replace a list of one.
 */
function trusted(policy = "%7B%7D"): string[] {
  const { Statement = [] } = JSON.parse(decodeURIComponent(policy));
  const allowing = [Statement].flat().filter(({ Effect }) => Effect === "Allow");
  return allowing.flatMap(({ Principal }) => Principal?.Service ?? []);
}

const isUnanswered = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "code" in error && /^E[A-Z]+$/.test(String(error.code));
