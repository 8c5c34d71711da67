/** `page`: a third party's page quotes AWS. `unchecked`: no page was read, so check it before you rely on it. */
type Sure = "page" | "unchecked";

interface Price {
  usd: number;
  per: string;
  sure: Sure;
  source: string;
}

const page = (usd: number, per: string, source: string): Price => ({ usd, per, sure: "page", source });
const unchecked = (usd: number, per: string): Price => ({ usd, per, sure: "unchecked", source: "no page was read" });

/** When the prices were gathered. They are those of us-east-1, in USD, without free tiers and discounts. */
export const pricesOf = "2026-11-26";

export const prices = {
  sparkDpuHour: page(0.308, "DPU hour, Spark on Glue 6.0", "dev.classmethod.jp, 2026-08-23, quoting AWS's page"),
  shellDpuHour: page(0.44, "DPU hour, Python shell", "awsnegotiations.com, Glue job cost optimization, May 2026"),
  writeUnits: page(0.625, "million write units of DynamoDB on demand", "airbyte.com, DynamoDB pricing"),
  readUnits: page(0.125, "million read units of DynamoDB on demand", "airbyte.com, DynamoDB pricing"),
  tableGbMonth: page(0.25, "GB and month in DynamoDB", "aws.amazon.com/dynamodb/pricing, a stored copy"),
  recoveryGbMonth: unchecked(0.2, "GB and month of point-in-time recovery"),
  s3GbMonth: page(0.023, "GB and month in S3 Standard", "devnotes.tech, Understanding AWS S3 pricing"),
  s3Writes: page(5, "million PUT, COPY or LIST of S3", "devnotes.tech, Understanding AWS S3 pricing"),
  s3Reads: page(0.4, "million GET or HEAD of S3", "devnotes.tech, Understanding AWS S3 pricing"),
  lambdaGbSecond: page(0.0000133334, "GB second of Lambda on arm64", "cloudchipr.com, AWS Lambda pricing"),
  metricMonth: page(0.3, "metric and month in CloudWatch", "calculator.city, CloudWatch custom metrics"),
  alarmMonth: page(0.1, "alarm and month in CloudWatch", "c3x.dev, aws_cloudwatch_metric_alarm"),
  airflowHour: page(0.49, "hour of a managed Airflow environment, mw1.small", "c3x.dev and dev.classmethod.jp"),
  fargateCpuHour: page(0.04048, "vCPU hour of Fargate, Linux on x86", "wring.co and vantage.sh, Fargate pricing"),
  fargateGbHour: page(0.004445, "GB hour of Fargate, Linux on x86", "wring.co and vantage.sh, Fargate pricing"),
} satisfies Record<string, Price>;
