import { GetRoleCommand, IAMClient } from "@aws-sdk/client-iam";
import { AssumeRoleCommand, STSClient } from "@aws-sdk/client-sts";
import { statementsOf } from "../../policy/documents";
import { LaunchError } from "./errors";
import type { LocalGlueOptions } from "./options";

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

  constructor({ emulatorEndpoint: endpoint, region }: LocalGlueOptions) {
    const client = { endpoint, region, credentials: { accessKeyId: "test", secretAccessKey: "test" } };
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
      const trust = statementsOf(decodeURIComponent(Role!.AssumeRolePolicyDocument ?? "{}"));
      // The emulator's own calls are root's, which it lets through for any service that a role trusts.
      if (!trust.some(({ effect, services }) => effect === "Allow" && services.includes(SERVICE)))
        throw new Error(`it does not trust ${SERVICE}`);
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

const isUnanswered = (error: unknown): error is NodeJS.ErrnoException =>
  error instanceof Error && "code" in error && /^E[A-Z]+$/.test(String(error.code));
