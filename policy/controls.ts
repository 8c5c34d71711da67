/**
 * The controls of the AWS Foundational Security Best Practices that concern this program's resources (Security Hub User
 * Guide, "Control reference"), each with the rules that enforce it and name it, or the reason why there is none.
 */
export const controls: Record<string, readonly string[] | { because: string }> = {
  "S3.1": { because: "It concerns a setting of the account; S3.8 is the same for a bucket." },
  "S3.2": ["bucket-private", "bucket-tls-only"],
  "S3.3": ["bucket-private", "bucket-tls-only"],
  "S3.5": ["bucket-tls-only"],
  "S3.8": ["bucket-private"],
  "S3.13": ["bucket-tidy"],
  "DynamoDB.1": ["table-paid-by-request"],
  "DynamoDB.2": ["table-restorable"],
  "DynamoDB.6": ["data-protected"],
  "Lambda.1": ["function-called-by-known"],
  "Lambda.2": ["function-runtime"],
  "Glue.3": { because: "It concerns machine learning transforms, and the program has none." },
  "Glue.4": ["job-version"],
  "SNS.1": {
    because:
      "Retired from this standard in April 2024. SNS encrypts its disks anyway, and alarms are lost silently where a key's policy does not let CloudWatch use it.",
  },
  "SQS.1": ["queue-encrypted"],
  "IAM.1": ["role-least-privilege"],
  "IAM.21": ["role-least-privilege"],
  "CloudWatch.16": ["logs-expire"],
};
