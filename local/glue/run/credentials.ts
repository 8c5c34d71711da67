import { GetRoleCommand, IAMClient } from "@aws-sdk/client-iam";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { LaunchError } from "../errors";
import type { LocalGlueOptions } from "../options";

/** What a job run calls AWS with. */
export interface Session {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string;
}

const SERVICE = "glue.amazonaws.com";

/** Assumes the roles of jobs, as Glue does it for each run. */
export class RoleSessions {
  private readonly iam: IAMClient;
  private readonly sts: STSClient;

  constructor({ emulatorEndpoint: endpoint, region, credentials }: LocalGlueOptions) {
    const client = { endpoint, region, credentials };
    this.iam = new IAMClient(client);
    this.sts = new STSClient(client);
  }

  /**
   * A session of a role, by its name or ARN, in which a run may do what the role may. Glue renews a run's session by itself; the emulator
   * holds no session to STS's twelve hours, so that here one lasts for the whole run.
   * @throws LaunchError when Glue may not assume the role
   */
  async open(role: string, seconds: number): Promise<Session> {
    try {
      const RoleName = role.slice(role.lastIndexOf("/") + 1);
      const { Role } = await this.iam.send(new GetRoleCommand({ RoleName }));
      // The call below is root's: the emulator allows it for a role that trusts any service.
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

/** The services that may assume a role, by its trust policy: percent-encoded JSON, where one value may stand without its list. */
function trusted(policy = "%7B%7D"): string[] {
  const { Statement = [] } = JSON.parse(decodeURIComponent(policy));
  const allowing = [Statement].flat().filter(({ Effect }) => Effect === "Allow");
  return allowing.flatMap(({ Principal }) => Principal?.Service ?? []);
}

const isUnanswered = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "code" in error && /^E[A-Z]+$/.test(String(error.code));
